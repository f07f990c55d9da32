#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A thousand journals with one file torn, flipped, zeroed or gone, and a log that is cut and flipped at
# every STEP-th byte: each opens, right, or with its losses listed. SEEDS=1000 STEP=64 ./run-tests --long store-damage
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}"
configure release
cmake --build build/release --target test_store
BITNETD_DAMAGE_SEEDS=${SEEDS:-1000} BITNETD_DAMAGE_STEP=${STEP:-64} BITNETD_CUT_STEP=${CUT_STEP:-1} \
  build/release/tests/store/test_store "[salvage],[cuts]"
