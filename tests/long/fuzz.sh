#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# libFuzzer over what strangers and operators write, one CPU-hour each: `wire` (frames and JSON of BN1), `conf` (bitnetd.yaml, profiles, clients'
# keys), and model files: `gguf`, `safetensors` (whole folders) and `tokenizer`. A finding ends it with the input's file name and a non-zero status.
#
#   BITNETD_FUZZ_SECONDS=3600 BITNETD_FUZZ_TARGETS="wire conf gguf safetensors tokenizer" ./run-tests --long fuzz
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" python3 clang-19 libclang-rt-19-dev
seconds=${BITNETD_FUZZ_SECONDS:-3600}
targets=${BITNETD_FUZZ_TARGETS:-wire conf gguf safetensors tokenizer}
sanitize=address,undefined
flags="-std=c++20 -O1 -g -Wno-deprecated-declarations -fsanitize=fuzzer-no-link,$sanitize -fno-sanitize-recover=all -I. -DSPDLOG_COMPILED_LIB -DSPDLOG_SHARED_LIB -DSPDLOG_FMT_EXTERNAL"
# Of kernels and hashes one instruction set is enough: neither parses anything.
engine="engine/*.cpp engine/hugging_face/*.cpp engine/kernels/kernel_table.cpp engine/kernels/kernels_scalar.cpp engine/kernels/*_layout.cpp"
declare -A sources=([wire]="daemon/wire_*.cpp" [conf]="conf/*.cpp" [gguf]=$engine [safetensors]=$engine [tokenizer]=$engine)
declare -A libraries=([wire]="-lsimdjson" [conf]="-lyaml-cpp" [gguf]="-ltbb -lhwloc" [safetensors]="-ltbb -lhwloc" [tokenizer]="-ltbb -lhwloc")

# One build file for all targets: what two of them need is compiled once.
mkdir -p build/fuzz
{
  echo "builddir = build/fuzz"
  printf 'rule cxx\n  command = clang++-19 %s -MMD -MF $out.d -c $in -o $out\n  depfile = $out.d\n' "$flags"
  printf 'rule link\n  command = clang++-19 -fsanitize=fuzzer,%s $in -lspdlog -lfmt -lcrypto $libraries -o $out\n' "$sanitize"
  declare -A known=()
  for name in $targets; do
    objects=
    for source in base/*.cpp ${sources[$name]} "tests/fuzz/${name}_fuzz.cpp"; do
      [[ $source == base/*_avx* ]] && continue
      object=build/fuzz/objects/${source%.cpp}.o objects+=" $object"
      [ -n "${known[$source]:-}" ] || echo "build $object: cxx $source"
      known[$source]=yes
    done
    printf 'build build/fuzz/%s/fuzz: link%s\n  libraries = %s\n' "$name" "$objects" "${libraries[$name]}"
  done
} > build/fuzz/build.ninja
ninja --quiet -f build/fuzz/build.ninja ${BITNETD_FUZZ_JOBS:+-j "$BITNETD_FUZZ_JOBS"}

# A CPU-hour is an hour of the processor, not of a busy machine's clock: a target goes on until it has used its seconds.
TIMEFORMAT='%U %S'
for name in $targets; do
  work=build/fuzz/$name used=0
  mkdir -p "$work/corpus" "$work/found"
  python3 tests/fuzz/seeds.py "$name" "$work/corpus"
  echo "== fuzzing $name for $seconds CPU seconds from $(ls "$work/corpus" | wc -l) inputs, $(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  while ((used < seconds)); do
    { time "$work/fuzz" -max_total_time=$((seconds - used)) -timeout=10 -report_slow_units=2 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
      -print_funcs=0 -verbosity=0 -artifact_prefix="$work/found/" "$work/corpus" 2>&3; } 3>&2 2> "$work/time"
    read -r user system < "$work/time"
    used=$((used + ${user%.*} + ${system%.*} + 1))
    echo "== $name: $used CPU seconds used"
  done
done
