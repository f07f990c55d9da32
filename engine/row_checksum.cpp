// SPDX-License-Identifier: MIT
#include "engine/row_checksum.h"

#include <array>
#include <cstring>

namespace bitnetd::engine {

namespace {

/// Odd and with a shift behind it: no two values come to the same.
std::uint64_t mix(std::uint64_t hash, std::uint64_t some) noexcept {
  hash = (hash ^ some) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 32;
}

} // namespace

std::uint64_t row_checksum(std::span<const std::int8_t> row) noexcept {
  const auto cols = row.size();
  std::array<std::uint64_t, 4> lanes{1, 2, 3, 4}; // side by side: a product takes its time
  std::array<std::uint64_t, 4> some{};
  const auto add = [&] {
    for (std::size_t i = 0; i < lanes.size(); ++i)
      lanes[i] = mix(lanes[i], some[i]);
  };
  for (; row.size() >= sizeof some; row = row.subspan(sizeof some)) {
    std::memcpy(some.data(), row.data(), sizeof some);
    add();
  }
  if (!row.empty()) {
    some = {};
    std::memcpy(some.data(), row.data(), row.size());
    add();
  }
  return mix(mix(mix(mix(cols, lanes[0]), lanes[1]), lanes[2]), lanes[3]);
}

} // namespace bitnetd::engine
