# SPDX-License-Identifier: MIT
# Debian packages the project needs, and how its scripts install them. Sourced by quickstart,
# run-tests and .ci/run.

build_packages=(
  g++ cmake ninja-build pkg-config
  libcaf-dev libzmq3-dev cppzmq-dev librocksdb-dev libyaml-cpp-dev libtbb-dev libhwloc-dev
  libssl-dev libsystemd-dev nlohmann-json3-dev libsimdjson-dev libcli11-dev libspdlog-dev
  prometheus-cpp-dev libjemalloc-dev libcurl4-openssl-dev zlib1g-dev catch2 libhnswlib-dev
)
test_packages=(libbenchmark-dev python3 python3-zmq python3-numpy systemd)

# as_root COMMAND…: directly as root, else through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "$0: this needs root: run it as root, or install sudo" >&2
    exit 1
  fi
}

# ensure_packages NAME…: installs what is missing, and says so first. Takes no time when nothing is.
ensure_packages() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "== installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
    { echo "$0: apt-get update failed: are the machine's package sources reachable?" >&2; exit 1; }
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" ||
    { echo "$0: apt-get install failed; the line above says why" >&2; exit 1; }
}

# configure PRESET: runs cmake when there is no build folder yet; ninja does the rest by itself.
configure() {
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1"
}
