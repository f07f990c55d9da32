// SPDX-License-Identifier: MIT
#pragma once

#include "engine/compute.h"
#include "engine/model.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// Root-mean-square norm of each row; `out` may be `x`.
///
///   out[n][c] = x[n][c] / sqrt(mean_c(x[n][c]^2) + eps) * weight[c]
///
/// Shapes   x, out [n_rows, cols]; weight [cols].
/// The mean is taken in double over 16 lanes in a fixed order: squared-ReLU products overflow
/// half precision and lose digits in single.
void rms_norm(std::span<const float> x, std::size_t n_rows, std::size_t cols,
              std::span<const float> weight, float eps, std::span<float> out,
              const compute_context& on);

/// The kernel of a gated activation, out = f(gate) * up element by element. NaN stays NaN.
///
///   squared_relu   f(g) = max(g, 0)^2
///   silu           f(g) = g / (1 + exp(-g))
///   gelu_tanh      f(g) = g / 2 * (1 + tanh(sqrt(2 / pi) * (g + 0.044715 g^3)))
[[nodiscard]] gated_fn* activation_kernel(gate_activation kind,
                                          const kernel_table& kernels) noexcept;

/// The residual: x += y.
void add_in_place(std::span<float> x, std::span<const float> y, const compute_context& on);

/// Rotary position embedding of one model. cos and sin are computed in double once per position,
/// in blocks of positions when first needed: the same bits whatever batch needs them. One owner.
class rope_table {
public:
  /// `dims`: how many leading values of a head are rotated (even, <= head_dim); `scale`: positions
  /// are divided by it.
  rope_table(std::size_t dims, float theta, float scale, rope_style style);

  /// Computes what is missing for these positions: before any thread turns one of them.
  void need(std::span<const std::uint32_t> positions);

  /// Rotates the heads of one row in place.
  ///
  ///   (a, b) -> (a cos - b sin, b cos + a sin),   angle = position / scale * theta^(-2i/dims)
  ///   pairs (i, i + dims/2) for half_split, (2i, 2i + 1) for interleaved
  ///
  /// Shapes   heads [n_heads, head_dim]. Any number of threads at once.
  void apply(std::span<float> heads, std::size_t head_dim, std::uint32_t position,
             const kernel_table& kernels) const noexcept;

private:
  static constexpr std::size_t block_positions = 64;
  void need_one(std::uint32_t position);
  [[nodiscard]] const float* angles(std::uint32_t position) const noexcept;

  std::size_t dims_;
  double theta_, scale_;
  rope_style style_;
  /// Blocks of [block_positions][cos dims/2, sin dims/2]; empty until needed.
  std::vector<std::vector<float>> blocks_;
};

} // namespace bitnetd::engine
