#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Durable accepts per second of bitnetd, beanstalkd, Redis Streams and PostgreSQL: each acknowledges
# a push only after it is on disk. The same disk, the same number of bytes per push, one connection
# and 64, each with one push under way; the four take turns, so that whatever else the machine does
# meets all of them. Prints medians with quartiles, and what one fdatasync of the disk takes.
#
#   ROUNDS=15 SECONDS_EACH=3 BYTES=600 FOLDER=build/queues ./run-tests --long queues
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" beanstalkd redis-server postgresql-15
rounds=${ROUNDS:-15} each=${SECONDS_EACH:-3} bytes=${BYTES:-600}
configure release
cmake --build build/release --target bitnetd bitnetctl bitnetd_queues
program=$PWD/build/release/tests/queues/bitnetd_queues
folder=$(realpath -m "${FOLDER:-build/queues}")
postgres=/usr/lib/postgresql/15/bin
rm -rf "$folder"
mkdir -p "$folder"/{beanstalkd,redis,bitnetd/state,bitnetd/cache,bitnetd/run,bitnetd/profiles}
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

# PostgreSQL refuses to run as root.
unprivileged() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
mkdir "$folder/postgresql"
if [ "$(id -u)" -eq 0 ]; then
  chown nobody "$folder/postgresql"
  chmod o+x "$folder"
fi
unprivileged "$postgres/initdb" -D "$folder/postgresql" -U bitnetd --auth=trust --no-instructions >"$folder/initdb.log"
unprivileged "$postgres/postgres" -D "$folder/postgresql" -p 15432 -h 127.0.0.1 -k '' -c max_connections=100 \
  -c fsync=on -c synchronous_commit=on >"$folder/postgresql.log" 2>&1 &
pids+=($!)
beanstalkd -l 127.0.0.1 -p 11399 -b "$folder/beanstalkd" -f 0 >"$folder/beanstalkd.log" 2>&1 &
pids+=($!)
redis-server --bind 127.0.0.1 --port 16399 --dir "$folder/redis" --appendonly yes --appendfsync always --save '' \
  >"$folder/redis.log" 2>&1 &
pids+=($!)
cat >"$folder/bitnetd/bitnetd.yaml" <<END
models: [{name: chat, path: $PWD/models/bitnetd-chat.gguf}]
hardware: {nodes: [{cpus: [0]}]}
profile: test
END
echo 'cache: {mode: off}' >"$folder/bitnetd/profiles/test.yaml"
build/release/daemon/bitnetd --config "$folder/bitnetd/bitnetd.yaml" --state-directory "$folder/bitnetd/state" \
  --cache-directory "$folder/bitnetd/cache" --runtime-directory "$folder/bitnetd/run" 2>"$folder/bitnetd.log" &
pids+=($!)
build/release/clients/bitnetctl/bitnetctl --socket "$folder/bitnetd/run" --wait-ready 60 ping >/dev/null
for _ in $(seq 100); do
  psql_ready=$("$postgres/pg_isready" -h 127.0.0.1 -p 15432 >/dev/null && echo yes || true)
  [ -n "$psql_ready" ] && break
  sleep 0.1
done
"$postgres/psql" -q -h 127.0.0.1 -p 15432 -U bitnetd postgres -c 'CREATE TABLE jobs (id bigserial PRIMARY KEY, body text)'

declare -A address=([bitnetd]="ipc://$folder/bitnetd/run/front.sock" [beanstalkd]=127.0.0.1:11399
  [redis]=127.0.0.1:16399 [postgresql]=127.0.0.1:15432)
quartiles() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+3)/4)], v[int((NR+1)/2)], v[int((3*NR+3)/4)]}'; }

echo "disk: $(df --output=source,fstype "$folder" | tail -1), $(nproc) CPUs, $(awk '{print $1}' /proc/loadavg) load"
for clients in 1 64; do
  : >"$folder/results"
  for _ in $(seq "$rounds"); do
    sync_ms=$("$program" fdatasync "$folder/probe")
    echo "fdatasync 0 $sync_ms" >>"$folder/results"
    for kind in bitnetd beanstalkd redis postgresql; do
      echo "$kind $("$program" "$kind" "${address[$kind]}" "$clients" "$each" "$bytes")" >>"$folder/results"
    done
  done
  sync_median=$(awk '$1 == "fdatasync" {print $3}' "$folder/results" | quartiles | awk '{print $2}')
  echo
  echo "$clients client(s), $bytes bytes, $rounds rounds of $each s; one fdatasync of this disk: $sync_median ms (median)"
  awk -v ms="$sync_median" 'BEGIN {if (ms < 0.2) print "  too fast to be true: this disk acknowledges before it has written"}'
  printf '  %-12s %30s %12s %12s\n' queue 'accepts/s (quartiles)' 'p50 ms' 'p99 ms'
  ours=$(awk '$1 == "bitnetd" {print $2}' "$folder/results" | quartiles | awk '{print $2}')
  for kind in bitnetd beanstalkd redis postgresql; do
    read -r low middle high < <(awk -v k="$kind" '$1 == k {print $2}' "$folder/results" | quartiles)
    p50=$(awk -v k="$kind" '$1 == k {print $3}' "$folder/results" | quartiles | awk '{print $2}')
    p99=$(awk -v k="$kind" '$1 == k {print $4}' "$folder/results" | quartiles | awk '{print $2}')
    printf '  %-12s %9s (%s … %s) %12s %12s   bitnetd / this: %s\n' "$kind" "$middle" "$low" "$high" "$p50" "$p99" \
      "$(awk -v a="$ours" -v b="$middle" 'BEGIN {printf "%.2f", a / b}')"
  done
done
