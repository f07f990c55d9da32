#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The long run: every kind of fault in full numbers, in parts side by side, then floods and half-open
# peers. An hour or more.
# BITNETD_FAULT_SCALE=0.1 ./run-tests --long faults does a tenth of it.
set -uo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" "${test_packages[@]}" || exit
configure release && cmake --build build/release --target bitnetd bitnetd-faults faultshim bitnetctl || exit
scale=${BITNETD_FAULT_SCALE:-1}
connections=$(awk -v s="$scale" 'BEGIN {n = int(100000 * s); print n < 1 ? 1 : n}')
echo "== faults, $(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
status=0
/usr/bin/python3 tests/fault/run.py all "$scale" || status=1
/usr/bin/python3 tests/fault/floods.py "$connections" 10 || status=1
exit $status
