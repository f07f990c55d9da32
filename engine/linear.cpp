// SPDX-License-Identifier: MIT
#include "engine/linear.h"

#include "engine/kernels/base3_layout.h"
#include "engine/kernels/ternary_layout.h"
#include "engine/tensor_type.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace bitnetd::engine {

namespace {

/// Adds the sums of one block of columns to those before it; the first block begins them.
void add_part(const float* part, std::size_t n_tokens, std::size_t n_rows, bool first, float* out,
              std::size_t stride) {
  for (std::size_t t = 0; t < n_tokens; ++t)
    for (std::size_t r = 0; r < n_rows; ++r)
      out[t * stride + r] = part[t * ternary_panel_rows + r] + (first ? 0 : out[t * stride + r]);
}

} // namespace

linear linear::ternary(std::size_t rows, std::size_t cols, node_memory packed,
                       std::span<const float> row_scales, std::uint64_t zero_weights) {
  assert(packed.size() == packed_bytes(rows, cols));
  return ternary_of(form::ternary, rows, cols, std::move(packed), row_scales, zero_weights);
}

linear linear::ternary_base3(std::size_t rows, std::size_t cols, node_memory packed,
                             std::span<const float> row_scales, std::uint64_t zero_weights) {
  assert(packed.size() == base3_bytes(rows, cols));
  return ternary_of(form::base3, rows, cols, std::move(packed), row_scales, zero_weights);
}

linear linear::ternary_of(form layout, std::size_t rows, std::size_t cols, node_memory packed,
                          std::span<const float> row_scales, std::uint64_t zero_weights) {
  assert(row_scales.size() == rows || row_scales.size() == 1);
  linear l;
  l.form_ = layout;
  l.rows_ = rows;
  l.cols_ = cols;
  l.zero_weights_ = zero_weights;
  l.weights_ = std::move(packed);
  if (row_scales.size() == rows)
    l.row_scales_.assign(row_scales.begin(), row_scales.end());
  else
    l.row_scales_.assign(rows, row_scales.front());
  return l;
}

linear linear::ternary_blocks(std::size_t rows, std::size_t cols, std::size_t block_cols,
                              node_memory packed, std::vector<float> scales,
                              std::uint64_t zero_weights) {
  assert(block_cols > 0 && block_cols % ternary_column_block == 0);
  const float one_for_now[] = {1.0f};
  auto l = ternary(rows, cols, std::move(packed), one_for_now, zero_weights);
  l.block_cols_ = block_cols;
  assert(scales.size() == l.n_blocks() * rows);
  l.row_scales_ = std::move(scales);
  return l;
}

linear linear::dense_f32(std::size_t rows, std::size_t cols, node_memory values) {
  assert(values.size() == rows * cols * sizeof(float));
  linear l;
  l.form_ = form::f32;
  l.rows_ = rows;
  l.cols_ = cols;
  l.weights_ = std::move(values);
  return l;
}

linear linear::dense_f16(std::size_t rows, std::size_t cols, node_memory values) {
  assert(values.size() == rows * cols * sizeof(std::uint16_t));
  linear l;
  l.form_ = form::f16;
  l.rows_ = rows;
  l.cols_ = cols;
  l.weights_ = std::move(values);
  return l;
}

linear linear::rounded(std::size_t rows, std::size_t cols, packed_bits bits, node_memory panels,
                       std::vector<float> row_scales) {
  assert(panels.size() == packed_bytes(rows, cols, bits) && row_scales.size() == rows);
  assert(cols <= 65536);
  linear l;
  l.form_ = bits == packed_bits::four ? form::int4 : form::int8;
  l.rows_ = rows;
  l.cols_ = cols;
  l.weights_ = std::move(panels);
  l.row_scales_ = std::move(row_scales);
  return l;
}

void linear::prepare(linear_input& in, const compute_context& on) const {
  assert(in.cols() == cols_);
  assert(in_integers(in) || !is_rounded());
  if (!in_integers(in))
    in.restore_values(on);
  else if (block_cols_ != 0)
    in.sum_blocks(block_cols_, on);
  else
    in.quantize(on);
}

std::size_t linear::nanoseconds(const linear_input& in) const noexcept {
  // One thread reads about 10 bytes per nanosecond, or does 100 products (far less in floats).
  const auto products = rows_ * cols_ * in.n_rows() / (in_integers(in) ? 100 : 10);
  return std::max(weights_.size() / 10, products);
}

ternary_gemm_fn* linear::integer_gemm(const kernel_table& kernels) const noexcept {
  return form_ == form::ternary ? kernels.ternary_gemm
         : form_ == form::base3 ? kernels.base3_gemm
         : form_ == form::int4  ? kernels.int4_gemm
                                : kernels.int8_gemm;
}

std::size_t linear::bytes_of_panel() const noexcept {
  return weights_.size() / (padded_rows(rows_) / ternary_panel_rows);
}

void linear::apply_part(const linear_input& in, std::size_t first, std::size_t n_tokens,
                        std::size_t from, std::size_t to, float* out, std::size_t stride,
                        const kernel_table& kernels) const {
  assert(from % ternary_panel_rows == 0 && to - from <= max_part_rows);
  assert(n_tokens <= max_part_tokens);
  if (!in_integers(in)) {
    multiply_floats(in, first, n_tokens, from, to, out, stride, kernels);
    return;
  }
  if (block_cols_ != 0) {
    multiply_blocks(in, first, n_tokens, from, to, out, stride, kernels);
    return;
  }
  alignas(64) std::int32_t sums[max_part_tokens * max_part_rows];
  const auto* panels = reinterpret_cast<const std::uint8_t*>(weights_.data());
  const auto n_rows = to - from;
  integer_gemm(kernels)(panels + from / ternary_panel_rows * bytes_of_panel(), n_rows, cols_,
                        in.codes() + first * in.code_stride(), in.code_stride(), in.sums() + first,
                        n_tokens, sums, max_part_rows);
  if (form_ == form::int4) // codes stand for odd numbers
    for (std::size_t t = 0; t < n_tokens; ++t)
      for (std::size_t r = 0; r < n_rows; ++r)
        sums[t * max_part_rows + r] = 2 * sums[t * max_part_rows + r] + in.sums()[first + t];
  kernels.rescale(sums, max_part_rows, n_tokens, n_rows, row_scales_.data() + from,
                  in.scales() + first, out, stride);
}

std::size_t linear::n_blocks() const noexcept {
  return block_cols_ == 0 ? 1 : (cols_ + block_cols_ - 1) / block_cols_;
}

/// One panel at a time: a block of its columns is then one piece of memory.
void linear::multiply_blocks(const linear_input& in, std::size_t first, std::size_t n_tokens,
                             std::size_t from, std::size_t to, float* out, std::size_t stride,
                             const kernel_table& kernels) const {
  alignas(64) std::int32_t sums[max_part_tokens * ternary_panel_rows];
  alignas(64) float part[max_part_tokens * ternary_panel_rows];
  for (auto row = from; row < to; row += ternary_panel_rows) {
    const auto n_rows = std::min(ternary_panel_rows, to - row);
    const auto* panel = reinterpret_cast<const std::uint8_t*>(weights_.data()) +
                        row / ternary_panel_rows * bytes_of_panel();
    for (std::size_t b = 0; b < n_blocks(); ++b) {
      const auto column = b * block_cols_;
      kernels.ternary_gemm(panel + column / ternary_line_columns * ternary_line_bytes, n_rows,
                           std::min(block_cols_, cols_ - column),
                           in.codes() + first * in.code_stride() + column, in.code_stride(),
                           in.block_sums(b) + first, n_tokens, sums, ternary_panel_rows);
      kernels.rescale(sums, ternary_panel_rows, n_tokens, n_rows,
                      row_scales_.data() + b * rows_ + row, in.scales() + first, part,
                      ternary_panel_rows);
      add_part(part, n_tokens, n_rows, b == 0, out + (row - from), stride);
    }
  }
}

/// The same with float activations.
void linear::multiply_float_blocks(const linear_input& in, std::size_t first, std::size_t n_tokens,
                                   std::size_t from, std::size_t to, float* out, std::size_t stride,
                                   const kernel_table& kernels) const {
  alignas(64) float part[max_part_tokens * ternary_panel_rows];
  for (auto row = from; row < to; row += ternary_panel_rows) {
    const auto n_rows = std::min(ternary_panel_rows, to - row);
    const auto* panel = reinterpret_cast<const std::uint8_t*>(weights_.data()) +
                        row / ternary_panel_rows * bytes_of_panel();
    for (std::size_t b = 0; b < n_blocks(); ++b) {
      const auto column = b * block_cols_;
      kernels.ternary_gemm_f32(panel + column / ternary_line_columns * ternary_line_bytes, n_rows,
                               std::min(block_cols_, cols_ - column),
                               in.values() + first * cols_ + column, cols_, n_tokens,
                               row_scales_.data() + b * rows_ + row, part, ternary_panel_rows);
      add_part(part, n_tokens, n_rows, b == 0, out + (row - from), stride);
    }
  }
}

/// Panel by panel: one in two bits stays in the second-level cache.
void linear::multiply_base3_floats(const linear_input& in, std::size_t first, std::size_t n_tokens,
                                   std::size_t from, std::size_t to, float* out, std::size_t stride,
                                   const kernel_table& kernels) const {
  thread_local std::vector<std::byte> two_bits; // grows only
  two_bits.resize(std::max(two_bits.size(), panel_bytes(cols_)));
  const auto panel = std::span{two_bits}.first(panel_bytes(cols_));
  for (auto row = from; row < to; row += ternary_panel_rows) {
    unpack_base3_panel(
        {weights_.data() + row / ternary_panel_rows * bytes_of_panel(), bytes_of_panel()}, cols_,
        panel);
    kernels.ternary_gemm_f32(reinterpret_cast<const std::uint8_t*>(panel.data()),
                             std::min(ternary_panel_rows, to - row), cols_,
                             in.values() + first * cols_, cols_, n_tokens, row_scales_.data() + row,
                             out + (row - from), stride);
  }
}

void linear::apply_rows(std::span<const std::uint32_t> rows, const float* x, float* out,
                        const kernel_table& kernels) const {
  assert(is_dense());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    assert(rows[i] < rows_);
    const auto first = rows[i] * cols_;
    if (form_ == form::f32)
      kernels.dense_f32(reinterpret_cast<const float*>(weights_.data()) + first, 1, cols_, x, cols_,
                        1, out + i, 1);
    else
      kernels.dense_f16(reinterpret_cast<const std::uint16_t*>(weights_.data()) + first, 1, cols_,
                        x, cols_, 1, out + i, 1);
  }
}

void linear::multiply_floats(const linear_input& in, std::size_t first, std::size_t n_tokens,
                             std::size_t from, std::size_t to, float* out, std::size_t stride,
                             const kernel_table& kernels) const {
  if (block_cols_ != 0) {
    multiply_float_blocks(in, first, n_tokens, from, to, out, stride, kernels);
    return;
  }
  const auto n = to - from;
  const auto* values = in.values() + first * cols_;
  switch (form_) {
  case form::ternary:
    kernels.ternary_gemm_f32(reinterpret_cast<const std::uint8_t*>(weights_.data()) +
                                 from / ternary_panel_rows * panel_bytes(cols_),
                             n, cols_, values, cols_, n_tokens, row_scales_.data() + from, out,
                             stride);
    break;
  case form::base3:
    multiply_base3_floats(in, first, n_tokens, from, to, out, stride, kernels);
    break;
  case form::f32:
    kernels.dense_f32(reinterpret_cast<const float*>(weights_.data()) + from * cols_, n, cols_,
                      values, cols_, n_tokens, out, stride);
    break;
  case form::int4:
  case form::int8: // never: asserted by prepare()
    break;
  case form::f16:
    kernels.dense_f16(reinterpret_cast<const std::uint16_t*>(weights_.data()) + from * cols_, n,
                      cols_, values, cols_, n_tokens, out, stride);
    break;
  }
}

void linear::decode_row(std::size_t row, std::span<float> out, const kernel_table& kernels) const {
  assert(row < rows_ && out.size() == cols_);
  switch (form_) {
  case form::ternary:
  case form::base3: {
    std::vector<std::int8_t> codes(cols_);
    (form_ == form::base3 ? unpack_base3_row : unpack_ternary_row)(
        {weights_.data(), weights_.size()}, cols_, row, codes);
    const auto block = block_cols_ == 0 ? cols_ : block_cols_;
    for (std::size_t c = 0; c < cols_; ++c)
      out[c] = static_cast<float>(codes[c]) * row_scales_[c / block * rows_ + row];
    break;
  }
  case form::f32:
    std::copy_n(reinterpret_cast<const float*>(weights_.data()) + row * cols_, cols_, out.begin());
    break;
  case form::int4:
  case form::int8:
    assert(!"heads only: nothing is looked up in them");
    break;
  case form::f16:
    kernels.from_half(reinterpret_cast<const std::uint16_t*>(weights_.data()) + row * cols_, cols_,
                      out.data());
    break;
  }
}

void linear::add_cost(std::size_t n, operation_cost& cost) const noexcept {
  const std::uint64_t products = std::uint64_t{rows_} * cols_ * n;
  cost.weight_bytes += weights_.size();
  if (is_ternary()) {
    cost.additions += products;
    cost.zero_additions += zero_weights_ * n;
    cost.multiplications += std::uint64_t{rows_} * n * n_blocks(); // by the scales
  } else if (is_rounded()) {
    cost.integer_multiplications += products;
    cost.multiplications += std::uint64_t{rows_} * n; // by the scales
  } else {
    cost.multiplications += products;
  }
}

} // namespace bitnetd::engine
