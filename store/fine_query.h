// SPDX-License-Identifier: MIT
#pragma once

#include "store/quantized_vector.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::store {

/// A query at 13 bits and a sign: its rounding is 64 times finer than that of the stored rows, so
/// that it does not count beside theirs.
struct fine_query {
  std::vector<std::int16_t> values; ///< padded with zeros to a multiple of dot_alignment
  double inverse_norm = 0;
};

/// invalid for what quantize refuses, and for another dimension.
result<fine_query> refine(std::span<const float> query, std::size_t dimension);

/// Rounded up to a multiple of dot_alignment.
[[nodiscard]] std::size_t padded(std::size_t dimension) noexcept;

/// 1 / |row| of the int8 values; infinite for zero.
[[nodiscard]] double inverse_norm(std::span<const std::int8_t> row) noexcept;

} // namespace bitnetd::store
