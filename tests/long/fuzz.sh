#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# libFuzzer over what strangers and operators write: `wire` (frames and JSON of BN1) and `conf` (bitnetd.yaml, profiles, clients' keys), one CPU-hour
# each. A finding ends it with the input's file name and a non-zero status.
#
#   BITNETD_FUZZ_SECONDS=3600 BITNETD_FUZZ_TARGETS="wire conf" ./run-tests --long fuzz
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" python3 clang-19 libclang-rt-19-dev
seconds=${BITNETD_FUZZ_SECONDS:-3600}
flags=(-std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I.
  -DSPDLOG_COMPILED_LIB -DSPDLOG_SHARED_LIB -DSPDLOG_FMT_EXTERNAL)
libraries=(-lspdlog -lfmt -lcrypto)
declare -A sources=([wire]="daemon/wire_*.cpp base/*.cpp" [conf]="conf/*.cpp base/*.cpp")
declare -A more=([wire]="" [conf]="-lyaml-cpp")
for name in ${BITNETD_FUZZ_TARGETS:-wire conf}; do
  work=build/fuzz/$name
  mkdir -p "$work/corpus" "$work/found"
  python3 tests/fuzz/seeds.py "$name" "$work/corpus"
  # shellcheck disable=SC2086  # lists of files and libraries
  clang++-19 "${flags[@]}" tests/fuzz/${name}_fuzz.cpp ${sources[$name]} "${libraries[@]}" ${more[$name]} -o "$work/fuzz"
  echo "== fuzzing $name for $seconds s from $(ls "$work/corpus" | wc -l) inputs, $(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  "$work/fuzz" -max_total_time="$seconds" -timeout=10 -report_slow_units=2 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -print_funcs=0 -verbosity=0 \
    -artifact_prefix="$work/found/" "$work/corpus"
done
