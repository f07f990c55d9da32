#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The long run of the fault harness: hours. BITNETD_FAULT_SCALE=0.1 does a tenth of it.
set -euo pipefail
. .ci/packages.sh
ensure_packages "${build_packages[@]}" "${test_packages[@]}"
configure release
cmake --build build/release --target bitnetd bitnetd-faults faultshim bitnetctl
echo "== faults, $(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
exec /usr/bin/python3 tests/fault/run.py all "${BITNETD_FAULT_SCALE:-1}"
