#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Models of published shapes with random weights, one at a time: each is written by `synth`, loaded and run, and must take the memory that
# `inspect` predicted, within 10 %. Needs up to 5 GB of disk and 6 GB of memory (8b).
#
#   BITNETD_SHAPES="large 3b 2b-4t 8b" ./run-tests --long shapes
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" python3
configure release
cmake --build build/release --target bitnet_model
# shellcheck disable=SC2086  # a list of names
/usr/bin/python3 tests/long/shapes.py build/release/clients/bitnet_model/bitnet-model ${BITNETD_SHAPES:-large 3b 2b-4t 8b}
