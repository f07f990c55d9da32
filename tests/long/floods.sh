#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Floods from strangers on a port that wants keys, loopback only, while a client with a key is served: connections that come and go, garbage,
# endless frames, handshakes that never end, silence.   CONNECTIONS=100000 SECONDS_EACH=10 ./run-tests --long floods
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" "${test_packages[@]}"
configure release
cmake --build build/release --target bitnetd bitnetctl
exec /usr/bin/python3 tests/fault/floods.py "${CONNECTIONS:-100000}" "${SECONDS_EACH:-10}"
