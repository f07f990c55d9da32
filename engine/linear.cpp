// SPDX-License-Identifier: MIT
#include "engine/linear.h"

#include "engine/kernels/ternary_layout.h"
#include "engine/parallel.h"
#include "engine/tensor_type.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

namespace bitnetd::engine {

namespace {

/// Tokens whose integer sums wait on the stack to be scaled; the weights of a chunk are still in
/// the second-level cache when the next block of tokens comes.
constexpr std::size_t token_block = 64;
/// Most rows of one chunk, whole panels: its sums fit the stack, and a 2B model's smallest matrix
/// (640 rows) still gives several threads something to do.
constexpr std::size_t chunk_rows = 64;

} // namespace

void linear_input::assign(std::span<const float> rows, std::size_t n_rows, std::size_t cols,
                          activation_quantization mode) {
  assert(rows.size() == n_rows * cols);
  rows_ = rows;
  n_rows_ = n_rows;
  cols_ = cols;
  mode_ = mode;
  quantized_ = restored_ = false;
}

std::size_t linear_input::code_stride() const noexcept { return padded_columns(cols_); }

void linear_input::quantize(const compute_context& on) {
  if (mode_ != activation_quantization::absmax || quantized_)
    return;
  const auto stride = code_stride();
  codes_.resize(std::max(codes_.size(), n_rows_ * stride)); // grows only: no work in a steady state
  scales_.resize(std::max(scales_.size(), n_rows_));
  sums_.resize(std::max(sums_.size(), n_rows_));
  for_ranges(on.node, n_rows_, cols_ * 5, [&](std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n) {
      const auto row = on.kernels.quantize_absmax(rows_.data() + n * cols_, cols_, stride,
                                                  codes_.data() + n * stride);
      scales_[n] = row.scale;
      sums_[n] = row.sum;
    }
  });
  quantized_ = true;
}

const float* linear_input::values(const compute_context& on) {
  if (mode_ == activation_quantization::none)
    return rows_.data();
  if (restored_)
    return values_.data();
  quantize(on);
  values_.resize(std::max(values_.size(), n_rows_ * cols_));
  for_ranges(on.node, n_rows_, cols_ * 5, [&](std::size_t from, std::size_t to) {
    for (auto n = from; n < to; ++n)
      for (std::size_t c = 0; c < cols_; ++c)
        values_[n * cols_ + c] = static_cast<float>(codes_[n * code_stride() + c]) / scales_[n];
  });
  restored_ = true;
  return values_.data();
}

linear linear::ternary(std::size_t rows, std::size_t cols, node_memory packed,
                       std::span<const float> row_scales, std::uint64_t zero_weights) {
  assert(packed.size() == packed_bytes(rows, cols));
  assert(row_scales.size() == rows || row_scales.size() == 1);
  linear l;
  l.form_ = form::ternary;
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

void linear::apply(linear_input& in, std::span<float> out, const compute_context& on) const {
  assert(in.cols() == cols_ && out.size() == in.n_rows() * rows_);
  const bool integers = !is_dense() && in.mode() == activation_quantization::absmax;
  assert(integers || !is_rounded());
  if (integers)
    in.quantize(on);
  const float* values = integers ? nullptr : in.values(on);

  // One thread reads about 10 bytes per nanosecond, or does 100 products (far less in floats): the
  // larger of both says how much a row is worth.
  const auto row_bytes = weights_.size() / rows_;
  const auto products = cols_ * in.n_rows() / (integers ? 100 : 10);
  const auto row_cost = std::max(row_bytes / 10, products);
  for_blocks(on.node, rows_, chunk_rows, row_cost, [&](std::size_t from, std::size_t to) {
    if (integers)
      apply_part(in, from, to, out.data() + from, rows_, on.kernels);
    else
      multiply_floats(values, in.n_rows(), from, to, out.data(), on.kernels);
  });
}

std::size_t linear::bytes_of_panel() const noexcept {
  return weights_.size() / (padded_rows(rows_) / ternary_panel_rows);
}

void linear::apply_part(const linear_input& in, std::size_t from, std::size_t to, float* out,
                        std::size_t stride, const kernel_table& kernels) const {
  assert(!is_dense() && from % ternary_panel_rows == 0);
  alignas(64) std::int32_t sums[token_block * chunk_rows];
  auto* const gemm = form_ == form::ternary ? kernels.ternary_gemm
                     : form_ == form::int4  ? kernels.int4_gemm
                                            : kernels.int8_gemm;
  const auto* panels = reinterpret_cast<const std::uint8_t*>(weights_.data());
  for (auto row = from; row < to; row += chunk_rows)
    for (std::size_t n = 0; n < in.n_rows(); n += token_block) {
      const auto n_rows = std::min(chunk_rows, to - row);
      const auto n_tokens = std::min(token_block, in.n_rows() - n);
      gemm(panels + row / ternary_panel_rows * bytes_of_panel(), n_rows, cols_,
           in.codes() + n * in.code_stride(), in.code_stride(), in.sums() + n, n_tokens, sums,
           chunk_rows);
      if (form_ == form::int4) // codes stand for odd numbers
        for (std::size_t t = 0; t < n_tokens; ++t)
          for (std::size_t r = 0; r < n_rows; ++r)
            sums[t * chunk_rows + r] = 2 * sums[t * chunk_rows + r] + in.sums()[n + t];
      kernels.rescale(sums, chunk_rows, n_tokens, n_rows, row_scales_.data() + row, in.scales() + n,
                      out + n * stride + (row - from), stride);
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

void linear::multiply_floats(const float* values, std::size_t n_tokens, std::size_t from,
                             std::size_t to, float* out, const kernel_table& kernels) const {
  const auto n = to - from;
  switch (form_) {
  case form::ternary:
    kernels.ternary_gemm_f32(reinterpret_cast<const std::uint8_t*>(weights_.data()) +
                                 from / ternary_panel_rows * panel_bytes(cols_),
                             n, cols_, values, cols_, n_tokens, row_scales_.data() + from,
                             out + from, rows_);
    break;
  case form::f32:
    kernels.dense_f32(reinterpret_cast<const float*>(weights_.data()) + from * cols_, n, cols_,
                      values, cols_, n_tokens, out + from, rows_);
    break;
  case form::int4:
  case form::int8: // never: asserted by apply()
    break;
  case form::f16:
    kernels.dense_f16(reinterpret_cast<const std::uint16_t*>(weights_.data()) + from * cols_, n,
                      cols_, values, cols_, n_tokens, out + from, rows_);
    break;
  }
}

void linear::decode_row(std::size_t row, std::span<float> out) const {
  assert(row < rows_ && out.size() == cols_);
  switch (form_) {
  case form::ternary: {
    std::vector<std::int8_t> codes(cols_);
    unpack_ternary_row({weights_.data(), weights_.size()}, cols_, row, codes);
    std::ranges::transform(codes, out.begin(), [scale = row_scales_[row]](std::int8_t t) {
      return static_cast<float>(t) * scale;
    });
    break;
  }
  case form::f32:
    std::copy_n(reinterpret_cast<const float*>(weights_.data()) + row * cols_, cols_, out.begin());
    break;
  case form::int4:
  case form::int8:
    assert(!"heads only: nothing is looked up in them");
    break;
  case form::f16: {
    const auto* from = reinterpret_cast<const std::uint16_t*>(weights_.data()) + row * cols_;
    std::transform(from, from + cols_, out.begin(), half_to_float);
    break;
  }
  }
}

void linear::add_cost(std::size_t n, operation_cost& cost) const noexcept {
  const std::uint64_t products = std::uint64_t{rows_} * cols_ * n;
  cost.weight_bytes += weights_.size();
  if (is_ternary()) {
    cost.additions += products;
    cost.zero_additions += zero_weights_ * n;
    cost.multiplications += std::uint64_t{rows_} * n; // by the scales
  } else if (is_rounded()) {
    cost.integer_multiplications += products;
    cost.multiplications += std::uint64_t{rows_} * n; // by the scales
  } else {
    cost.multiplications += products;
  }
}

} // namespace bitnetd::engine
