// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tensor_type.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// Float weights to ternary ones: t in {-1, 0, +1} and the factor back to real values.
struct ternary_matrix {
  std::vector<std::int8_t> t;    ///< [rows, cols]
  std::vector<float> row_scales; ///< [rows]; a tensor scale is repeated
};

enum class ternary_threshold { absmean, twn_tensor, twn_row };

/// Ternarises a float matrix.
///
///   absmean     a = max(mean|W|, 1e-5), t = clamp(round_half_even(W / a), -1, 1)
///   twn_tensor  D = 0.7 mean|W|, t = sign(W) [|W| > D], a = mean of |W| over the kept entries
///   twn_row     the same with mean and a of each row
///
/// Shapes   w [rows, cols].
/// Source   Ma et al. 2024, arXiv:2402.17764 (absmean); Li et al. 2016, arXiv:1605.04711 (TWN).
[[nodiscard]] ternary_matrix ternarise(std::span<const float> w, std::size_t rows, std::size_t cols,
                                       ternary_threshold how);

/// Stores ternary codes as a tensor of a ternary `type`, one scale for all. Of the I2_S layouts
/// only the common one is written.
///
/// Shapes   t [rows * cols] in row-major order; the result has tensor_bytes(type, rows, cols).
/// Requires a size that the type can hold (tensor_bytes is not empty): asserted.
[[nodiscard]] std::vector<std::byte> encode_ternary(tensor_type type,
                                                    std::span<const std::int8_t> t,
                                                    std::size_t rows, std::size_t cols,
                                                    float scale);

/// Whether all values are -a, 0 or +a for one finite a > 0: then a (1 when all are zero), and the
/// matrix is a ternary one in disguise. Exact comparison; works per row or per tensor.
[[nodiscard]] std::optional<float> dense_is_ternary(std::span<const float> values) noexcept;

} // namespace bitnetd::engine
