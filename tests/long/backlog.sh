#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A million waiting jobs: memory while they wait, time of a restart, time of the first answer after
# it. JOBS=1000000 ./run-tests --long backlog
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" "${test_packages[@]}"
configure release
cmake --build build/release --target bitnetd bitnetctl
exec /usr/bin/python3 tests/system/backlog.py "${JOBS:-1000000}"
