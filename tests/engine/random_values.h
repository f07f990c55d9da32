// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace bitnetd::engine::test {

/// Normally distributed floats, the same for the same seed.
inline std::vector<float> random_floats(std::size_t n, std::uint32_t seed, float scale = 1.0f) {
  std::mt19937 bits{seed};
  std::normal_distribution<float> values{0.0f, scale};
  std::vector<float> out(n);
  for (auto& x : out)
    x = values(bits);
  return out;
}

/// Whole numbers from `low` to `high`.
inline std::vector<std::int8_t> random_codes(std::size_t n, int low, int high, std::uint32_t seed) {
  std::mt19937 bits{seed};
  std::uniform_int_distribution<int> values{low, high};
  std::vector<std::int8_t> out(n);
  for (auto& x : out)
    x = static_cast<std::int8_t>(values(bits));
  return out;
}

} // namespace bitnetd::engine::test
