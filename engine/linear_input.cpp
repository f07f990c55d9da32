// SPDX-License-Identifier: MIT
#include "engine/linear_input.h"

#include "engine/kernels/ternary_layout.h"
#include "engine/parallel.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace bitnetd::engine {

void linear_input::begin(std::size_t n_rows, std::size_t cols,
                         activation_quantization mode) noexcept {
  n_rows_ = n_rows;
  cols_ = cols;
  mode_ = mode;
  quantized_ = restored_ = false;
  summed_block_ = 0;
}

void linear_input::assign(std::span<const float> rows, std::size_t n_rows, std::size_t cols,
                          activation_quantization mode) {
  assert(rows.size() == n_rows * cols);
  rows_ = rows;
  begin(n_rows, cols, mode);
}

void linear_input::assign_normalised(std::span<const float> x, std::size_t n_rows, std::size_t cols,
                                     std::span<const float> weight, float eps,
                                     activation_quantization mode, const compute_context& on) {
  assert(x.size() == n_rows * cols && weight.size() == cols);
  begin(n_rows, cols, mode);
  const auto normalise = [&](std::size_t n, float* to) {
    on.kernels.rms_norm(x.data() + n * cols, cols, weight.data(), eps, to);
  };
  if (mode == activation_quantization::none) {
    values_.resize(std::max(values_.size(), n_rows * cols));
    rows_ = std::span{values_}.first(n_rows * cols);
    for_ranges(on.node, n_rows, cols * 5, [&](std::size_t from, std::size_t to) {
      for (auto n = from; n < to; ++n)
        normalise(n, values_.data() + n * cols);
    });
    return;
  }
  rows_ = {};
  make_room(on);
  for_ranges(on.node, n_rows, cols * 10, [&](std::size_t from, std::size_t to) {
    thread_local std::vector<float> row; // stays in the first-level cache; grows only
    row.resize(std::max(row.size(), cols));
    for (auto n = from; n < to; ++n) {
      normalise(n, row.data());
      quantize_row(n, row.data(), on.kernels);
    }
  });
  quantized_ = true;
}

std::size_t linear_input::code_stride() const noexcept { return padded_columns(cols_); }

/// Room for the codes of all rows. Buffers grow only: no work in a steady state.
void linear_input::make_room(const compute_context& on) {
  constexpr std::size_t beyond = 32; // that base-3 products may read (kernel_functions.h)
  const auto bytes = n_rows_ * code_stride() + beyond;
  if (codes_.size() < bytes)
    codes_ = node_memory{bytes, on.node.where().memory_node};
  scales_.resize(std::max(scales_.size(), n_rows_));
  sums_.resize(std::max(sums_.size(), n_rows_));
}

void linear_input::quantize_row(std::size_t row, const float* values,
                                const kernel_table& kernels) noexcept {
  const auto stride = code_stride();
  auto* const to = reinterpret_cast<std::int8_t*>(codes_.data()) + row * stride;
  const auto quantized = kernels.quantize_absmax(values, cols_, stride, to);
  scales_[row] = quantized.scale;
  sums_[row] = quantized.sum;
}

void linear_input::quantize(const compute_context& on) {
  if (mode_ != activation_quantization::absmax || quantized_)
    return;
  make_room(on);
  for_ranges(on.node, n_rows_, cols_ * 5, [&](std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n)
      quantize_row(n, rows_.data() + n * cols_, on.kernels);
  });
  quantized_ = true;
}

void linear_input::restore_values(const compute_context& on) {
  if (mode_ == activation_quantization::none || restored_)
    return;
  quantize(on);
  values_.resize(std::max(values_.size(), n_rows_ * cols_));
  for_ranges(on.node, n_rows_, cols_ * 5, [&](std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n)
      for (std::size_t c = 0; c < cols_; ++c)
        values_[n * cols_ + c] = static_cast<float>(codes()[n * code_stride() + c]) / scales_[n];
  });
  restored_ = true;
}

void linear_input::sum_blocks(std::size_t block_cols, const compute_context& on) {
  if (summed_block_ == block_cols)
    return;
  quantize(on);
  const auto n_blocks = (cols_ + block_cols - 1) / block_cols;
  block_sums_.resize(std::max(block_sums_.size(), n_blocks * n_rows_));
  for_ranges(on.node, n_rows_, cols_, [&](std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n)
      for (std::size_t b = 0; b < n_blocks; ++b) {
        const auto* first = codes() + n * code_stride() + b * block_cols;
        const auto* last = first + std::min(block_cols, cols_ - b * block_cols);
        block_sums_[b * n_rows_ + n] = std::accumulate(first, last, std::int32_t{0});
      }
  });
  summed_block_ = block_cols;
}

} // namespace bitnetd::engine
