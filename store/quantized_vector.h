// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::store {

inline constexpr std::size_t max_dimension = 8192;

/// A vector as stored: value[i] ~ scale * values[i], scale = max|value| / 127.
struct quantized_vector {
  float scale = 0;
  std::vector<std::int8_t> values;

  bool operator==(const quantized_vector&) const = default;
};

/// Quantizes to int8 by absmax, rounding to nearest. invalid for an empty vector, one longer than
/// max_dimension, one that holds NaN or infinity, and one that is zero.
result<quantized_vector> quantize(std::span<const float> vector);

struct neighbour {
  std::uint64_t entry = 0;
  float cosine = 0; ///< of the query and the stored (quantized) vector, -1 to 1
};

/// Nearest first; equal cosines in order of entry.
[[nodiscard]] constexpr bool nearer(const neighbour& a, const neighbour& b) noexcept {
  return a.cosine != b.cosine ? a.cosine > b.cosine : a.entry < b.entry;
}

} // namespace bitnetd::store
