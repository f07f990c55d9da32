// SPDX-License-Identifier: MIT
#include "engine/ops.h"

#include "engine/parallel.h"

#include <cassert>
#include <cmath>

namespace bitnetd::engine {

// Costs in tenths of a nanosecond per value, measured on one core of a 2023 server: they only
// decide what is worth sharing.

void rms_norm(std::span<const float> x, std::size_t n_rows, std::size_t cols,
              std::span<const float> weight, float eps, std::span<float> out,
              const compute_context& on) {
  assert(x.size() == n_rows * cols && out.size() == x.size() && weight.size() == cols);
  for_ranges(on.node, n_rows, cols * 5, [&](std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n)
      on.kernels.rms_norm(x.data() + n * cols, cols, weight.data(), eps, out.data() + n * cols);
  });
}

gated_fn* activation_kernel(gate_activation kind, const kernel_table& kernels) noexcept {
  return kind == gate_activation::squared_relu ? kernels.squared_relu
         : kind == gate_activation::gelu_tanh  ? kernels.gelu_tanh
                                               : kernels.silu;
}

void add_in_place(std::span<float> x, std::span<const float> y, const compute_context& on) {
  assert(x.size() == y.size());
  for_ranges(on.node, x.size(), 5, [&](std::size_t from, std::size_t to) {
    for (auto i = from; i < to; ++i)
      x[i] += y[i];
  });
}

rope_table::rope_table(std::size_t dims, float theta, float scale, rope_style style)
    : dims_{dims}, theta_{theta}, scale_{scale}, style_{style} {
  assert(dims % 2 == 0 && scale > 0);
}

void rope_table::need_one(std::uint32_t position) {
  const auto index = position / block_positions;
  if (index >= blocks_.size())
    blocks_.resize(index + 1);
  auto& block = blocks_[index];
  if (!block.empty())
    return;
  block.resize(block_positions * dims_);
  for (std::size_t p = 0; p < block_positions; ++p)
    for (std::size_t i = 0; i < dims_ / 2; ++i) {
      const auto at = static_cast<double>(index * block_positions + p) / scale_;
      const auto angle =
          at * std::pow(theta_, -2.0 * static_cast<double>(i) / static_cast<double>(dims_));
      block[p * dims_ + i] = static_cast<float>(std::cos(angle));
      block[p * dims_ + dims_ / 2 + i] = static_cast<float>(std::sin(angle));
    }
}

const float* rope_table::angles(std::uint32_t position) const noexcept {
  return blocks_[position / block_positions].data() + position % block_positions * dims_;
}

void rope_table::need(std::span<const std::uint32_t> positions) {
  for (const auto position : positions)
    need_one(position);
}

void rope_table::apply(std::span<float> heads, std::size_t head_dim, std::uint32_t position,
                       const kernel_table& kernels) const noexcept {
  assert(heads.size() % head_dim == 0 && dims_ <= head_dim);
  const auto n_pairs = dims_ / 2;
  const auto* const cos = angles(position);
  const auto* const sin = cos + n_pairs;
  if (style_ == rope_style::half_split) {
    kernels.turn_halves(heads.data(), heads.size() / head_dim, head_dim, cos, sin, n_pairs);
    return;
  }
  for (auto* head = heads.data(); head != heads.data() + heads.size(); head += head_dim)
    for (std::size_t i = 0; i < n_pairs; ++i) {
      const auto a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = a * cos[i] - b * sin[i];
      head[2 * i + 1] = b * cos[i] + a * sin[i];
    }
}

} // namespace bitnetd::engine
