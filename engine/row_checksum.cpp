// SPDX-License-Identifier: MIT
#include "engine/row_checksum.h"

#include <array>
#include <cassert>
#include <cstring>

namespace bitnetd::engine {

namespace {

/// Odd and with a shift behind it: no two values come to the same.
std::uint64_t mix(std::uint64_t hash, std::uint64_t some) noexcept {
  hash = (hash ^ some) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 32;
}

} // namespace

std::uint64_t row_checksum(std::span<const std::uint32_t> words, std::size_t cols) noexcept {
  assert(words.size() % 8 == 0);                  // rows are padded to 128 columns
  std::array<std::uint64_t, 4> lanes{1, 2, 3, 4}; // side by side: a product takes its time
  std::array<std::uint64_t, 4> some{};
  for (; !words.empty(); words = words.subspan(8)) {
    std::memcpy(some.data(), words.data(), sizeof some);
    for (std::size_t i = 0; i < lanes.size(); ++i)
      lanes[i] = mix(lanes[i], some[i]);
  }
  return mix(mix(mix(mix(cols, lanes[0]), lanes[1]), lanes[2]), lanes[3]);
}

} // namespace bitnetd::engine
