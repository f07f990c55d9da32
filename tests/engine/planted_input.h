// SPDX-License-Identifier: MIT
#pragma once

#include "tests/engine/random_values.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::engine::test {

/// A random vector whose cosine with `w` is `cosine`; just random where `w` is zero.
inline std::vector<float> planted_input(std::span<const float> w, double cosine,
                                        std::uint32_t seed) {
  auto x = random_floats(w.size(), seed);
  double w2 = 0, wx = 0, x2 = 0;
  for (std::size_t c = 0; c < w.size(); ++c) {
    w2 += double{w[c]} * double{w[c]};
    wx += double{w[c]} * double{x[c]};
  }
  if (w2 == 0)
    return x;
  for (std::size_t c = 0; c < w.size(); ++c) // what stands upright on the row
    x[c] -= static_cast<float>(wx / w2 * double{w[c]});
  for (const auto value : x)
    x2 += double{value} * double{value};
  const auto length = std::sqrt(x2 / w2) * cosine / std::sqrt(1 - cosine * cosine);
  for (std::size_t c = 0; c < w.size(); ++c)
    x[c] += static_cast<float>(length * double{w[c]});
  return x;
}

} // namespace bitnetd::engine::test
