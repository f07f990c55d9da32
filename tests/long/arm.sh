#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The engine on 64-bit ARM: cross-compiled with this project's CMake files, run under qemu-user. The unit tests of the kernels (NEON against
# scalar and definitions) and the golden cases (whole models, whose expected values come from NumPy) must pass as they do here, and both
# machines must print the same greedy answer of the shipped model, to the byte; so must an x86-64 CPU that has no AVX2. Packages for ARM go into build/arm, nothing foreign is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. .ci/packages.sh
ensure_packages "${build_packages[@]}" g++-aarch64-linux-gnu qemu-user-static
arm=$PWD/build/arm
export ARM_SYSROOT=$arm/sysroot
mkdir -p "$ARM_SYSROOT" "$arm"/apt/{lists/partial,archives/partial}
: >"$arm/apt/status"
apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$arm/apt" -o Dir::State::status="$arm/apt/status"
  -o Dir::Cache="$arm/apt" -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
if [ ! -e "$ARM_SYSROOT/.complete" ]; then
  echo "== packages for arm64, into build/arm"
  "${apt[@]}" update >/dev/null
  libraries=(libstdc++-12-dev)
  for name in "${build_packages[@]}"; do
    case $name in g++ | cmake | ninja-build | pkg-config) ;; *) libraries+=("$name") ;; esac
  done
  "${apt[@]}" install --download-only --no-install-recommends -y "${libraries[@]}" >/dev/null
  for package in "$arm"/apt/archives/*.deb; do
    dpkg --extract "$package" "$ARM_SYSROOT"
  done
  # Some packages' CMake files name /usr itself.
  grep -rlZ '"/usr/' "$ARM_SYSROOT"/usr/{lib/aarch64-linux-gnu,share}/cmake | xargs -0r sed -i "s|\"/usr/|\"$ARM_SYSROOT/usr/|g"
  touch "$ARM_SYSROOT/.complete"
fi

echo "== building for arm64"
export PKG_CONFIG_SYSROOT_DIR=$ARM_SYSROOT PKG_CONFIG_LIBDIR=$ARM_SYSROOT/usr/lib/aarch64-linux-gnu/pkgconfig:$ARM_SYSROOT/usr/share/pkgconfig
[ -f "$arm/tree/build.ninja" ] ||
  cmake -S . -B "$arm/tree" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$PWD/tests/long/aarch64.cmake"
cmake --build "$arm/tree" --target test_engine bitnetd_conformance bitnet-model
configure release
cmake --build build/release --target bitnet-model

on_arm() { # CPU, program…: one with sdot, or one without
  local cpu=$1
  shift
  qemu-aarch64-static -L "$ARM_SYSROOT" -cpu "$cpu" "$@"
}
echo "== $(git rev-parse --short HEAD 2>/dev/null || echo unknown), $(date -u +%F): kernels"
on_arm max "$arm/tree/tests/engine/test_engine" "[kernels],[ternary_layout],[head],[attention]"
echo "== kernels on a CPU without sdot"
on_arm cortex-a53 "$arm/tree/tests/engine/test_engine" "[kernels]"
echo "== golden cases"
on_arm max "$arm/tree/tests/conformance" tests/golden --require all
echo "== the same answer here and there"
ask=(generate -m models/bitnetd-chat.gguf --chat -p "How do I cancel a job?" -n 40)
here=$(build/release/clients/bitnet_model/bitnet-model "${ask[@]}")
there=$(on_arm max "$arm/tree/clients/bitnet_model/bitnet-model" "${ask[@]}")
echo "$there"
[ "$here" = "$there" ] || { echo "arm.sh: here it is: $here" >&2; exit 1; }
if [ "$(uname -m)" = x86_64 ]; then
  echo "== and on an x86-64 CPU without AVX2"
  there=$(qemu-x86_64-static -cpu Nehalem build/release/clients/bitnet_model/bitnet-model "${ask[@]}")
  [ "$here" = "$there" ] || { echo "arm.sh: on Nehalem it is: $there" >&2; exit 1; }
fi
