#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What 64 clients that attach to a job and never read cost: CPU time per token, in turns with none.
# PAIRS=15 ./run-tests --long readers
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" "${test_packages[@]}"
configure release
cmake --build build/release --target bitnetd bitnetctl
exec /usr/bin/python3 tests/system/readers.py "${PAIRS:-15}"
