// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tensor_type.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// How many weights of a ternary matrix are zero, and how many of the lines that kernels read: 16
/// rows by 16 columns (ternary_layout.h), at the ends of a matrix what is left of them.
struct zero_pattern {
  std::uint64_t weights = 0, zero_weights = 0, lines = 0, zero_lines = 0;

  void add(const zero_pattern& more) noexcept;
  [[nodiscard]] double weight_share() const noexcept;
  [[nodiscard]] double line_share() const noexcept;
};

/// From this share of lines on, multiplying only listed lines takes less time than all of them
/// (docs/performance.md: one token, 2560 x 6912, AVX-512, from memory).
constexpr double lines_worth_skipping = 0.3;

/// Counts the zeros of a stored tensor. Requires raw.size() == tensor_bytes(type, rows, cols).
[[nodiscard]] zero_pattern find_zeros(tensor_type type, std::span<const std::byte> raw,
                                      std::uint64_t rows, std::uint64_t cols);

} // namespace bitnetd::engine
