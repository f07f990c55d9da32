// SPDX-License-Identifier: MIT
#pragma once

#include "engine/compute.h"
#include "engine/kernels/packed_layout.h"
#include "engine/model.h"
#include "engine/telemetry.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// The rows that enter one or several linear layers (q, k and v share one, and so do gate and up).
/// Under `absmax` they are quantized once, by whoever asks first. Buffers are kept and reused: one
/// object serves all layers of a step. Not thread-safe: one owner.
class linear_input {
public:
  /// Takes rows [n_rows, cols], contiguous, and forgets what was there before. The floats are not
  /// copied: they must stay as they are until the next assign().
  void assign(std::span<const float> rows, std::size_t n_rows, std::size_t cols,
              activation_quantization mode);

  /// Quantizes the rows if `absmax` is asked and it has not been done since assign(); nothing
  /// otherwise. linear::apply calls it; call it yourself only to measure it apart.
  ///
  ///   s = 127 / max(max|x|, 1e-5);  q = round_half_even(x * s)          per row
  ///
  /// A row with NaN or infinity becomes zeros with s = NaN, so that what is computed from it is
  /// NaN and the sampler can say `numeric`.
  void quantize(const compute_context& on);

  [[nodiscard]] std::size_t n_rows() const noexcept { return n_rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] activation_quantization mode() const noexcept { return mode_; }

  // The forms that layers and tests read. int8 rows: after quantize() under `absmax` only.
  /// Int8 rows [n_rows, code_stride()], padded with zeros.
  [[nodiscard]] const std::int8_t* codes() const noexcept { return codes_.data(); }
  [[nodiscard]] std::size_t code_stride() const noexcept;
  [[nodiscard]] const float* scales() const noexcept { return scales_.data(); } ///< s, [n_rows]
  /// Sum of each row's int8 values, [n_rows]: what the kernels take off for coding t as t + 1.
  [[nodiscard]] const std::int32_t* sums() const noexcept { return sums_.data(); }
  /// The floats that a dense layer multiplies, [n_rows, cols]: the rows themselves, or q / s under
  /// `absmax`.
  [[nodiscard]] const float* values(const compute_context& on);
  /// Sums of the int8 values of every row in blocks of `block_cols` columns, for layers with a
  /// scale per block: [n_blocks, n_rows]. Quantizes first.
  void sum_blocks(std::size_t block_cols, const compute_context& on);
  [[nodiscard]] const std::int32_t* block_sums(std::size_t block) const noexcept {
    return block_sums_.data() + block * n_rows_;
  }

private:
  std::span<const float> rows_;
  std::size_t n_rows_ = 0, cols_ = 0;
  activation_quantization mode_ = activation_quantization::none;
  bool quantized_ = false, restored_ = false;
  std::size_t summed_block_ = 0; ///< columns of the blocks in block_sums_; 0: not summed
  std::vector<std::int8_t> codes_;
  std::vector<float> scales_, values_;
  std::vector<std::int32_t> sums_, block_sums_;
};

/// One weight matrix [rows, cols] in the form in which it is multiplied: ternary (packed, with one
/// scale per row, or one per row and block of columns), dense (f32 or f16, row-major) or, for
/// heads, rounded to 4 or 8 bits (packed, with one scale per row). Immutable; movable, not
/// copyable; any number of threads may apply it at once.
///
///   ternary, absmax   y[n][r] = (sum_c t[r][c] * q[n][c]) * row_scale[r] / s[n]      exact int32
///   ternary, none     y[n][r] = (sum_c t[r][c] * x[n][c]) * row_scale[r]
///   dense, absmax     y[n][r] = sum_c w[r][c] * (q[n][c] / s[n])
///   dense, none       y[n][r] = sum_c w[r][c] * x[n][c]
///   8 bits, absmax    y[n][r] = (sum_c c[r][c] * q[n][c]) * row_scale[r] / s[n]            exact
///   int32 4 bits, absmax    y[n][r] = (sum_c (2 c[r][c] + 1) * q[n][c]) * row_scale[r] / s[n]
///
/// Every y is computed in one fixed order: it does not depend on the other rows of the input, on
/// threads, or on the instruction set.
class linear {
public:
  linear() = default; ///< no matrix: rows() == 0

  /// `packed` in the layout of ternary_layout.h, packed_bytes(rows, cols) long; `row_scales`
  /// [rows], or one element for all rows; `zero_weights` as pack_ternary counted them.
  static linear ternary(std::size_t rows, std::size_t cols, node_memory packed,
                        std::span<const float> row_scales, std::uint64_t zero_weights);
  /// The same with a scale for every `block_cols` columns of a row, a multiple of 128: products are
  /// summed per block, rescaled and added in the order of the blocks.
  /// Shapes   scales [n_blocks, rows].
  static linear ternary_blocks(std::size_t rows, std::size_t cols, std::size_t block_cols,
                               node_memory packed, std::vector<float> scales,
                               std::uint64_t zero_weights);
  /// `values` holds [rows, cols] floats, row-major.
  static linear dense_f32(std::size_t rows, std::size_t cols, node_memory values);
  /// `values` holds [rows, cols] IEEE halves, row-major.
  static linear dense_f16(std::size_t rows, std::size_t cols, node_memory values);
  /// `panels` in the layout of packed_layout.h, packed_bytes(rows, cols, bits) long; `row_scales`
  /// [rows]. 4-bit codes stand for odd numbers: c for 2 c + 1. Requires cols <= 65536.
  static linear rounded(std::size_t rows, std::size_t cols, packed_bits bits, node_memory panels,
                        std::vector<float> row_scales);

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] bool is_ternary() const noexcept { return form_ == form::ternary; }
  /// Whether it is multiplied in integers only: it then must be applied under `absmax`.
  [[nodiscard]] bool is_rounded() const noexcept {
    return form_ == form::int4 || form_ == form::int8;
  }
  [[nodiscard]] bool is_dense() const noexcept { return form_ == form::f32 || form_ == form::f16; }
  [[nodiscard]] std::size_t weight_bytes() const noexcept { return weights_.size(); }
  [[nodiscard]] std::uint64_t zero_weights() const noexcept { return zero_weights_; }
  /// Whether the memory could be bound to its node (or was not to be).
  [[nodiscard]] bool bound() const noexcept { return weights_.bound(); }

  /// Multiplies. Shapes: in [n, cols()]; out [n, rows()], contiguous, not overlapping the input.
  /// Parallel over rows inside node.run. Requires in.cols() == cols(): asserted.
  void apply(linear_input& in, std::span<float> out, const compute_context& on) const;

  /// y of single rows of a dense matrix, bit-equal to what apply() gives: out[i] = w[rows[i]] . x.
  /// Shapes   x [cols()]; out [rows.size()]. On the calling thread.
  void apply_rows(std::span<const std::uint32_t> rows, const float* x, float* out,
                  const kernel_table& kernels) const;
  /// Rows [from, to) of y for all rows of an input that is quantized already, from a multiple of
  /// 16: what apply() does in parallel. out [n][stride], columns 0…to-from-1.
  void apply_part(const linear_input& in, std::size_t from, std::size_t to, float* out,
                  std::size_t stride, const kernel_table& kernels) const;

  /// The weights of one row as floats (an embedding look-up), out [cols()].
  void decode_row(std::size_t row, std::span<float> out) const;

  /// Adds what apply() costs on `n` rows: bytes, additions, multiplications, zero additions.
  /// Time is the caller's to measure.
  void add_cost(std::size_t n, operation_cost& cost) const noexcept;

private:
  enum class form { ternary, f32, f16, int4, int8 };
  [[nodiscard]] std::size_t bytes_of_panel() const noexcept;
  [[nodiscard]] std::size_t n_blocks() const noexcept;
  void apply_tokens(const linear_input& in, std::size_t first, std::size_t n_tokens,
                    std::size_t row, std::size_t to, float* out, std::size_t stride,
                    const kernel_table& kernels) const;
  void apply_blocks(const linear_input& in, std::size_t first, std::size_t n_tokens,
                    std::size_t from, std::size_t to, float* out, std::size_t stride,
                    const kernel_table& kernels) const;
  void multiply_blocks(const float* values, std::size_t n_tokens, std::size_t from, std::size_t to,
                       float* out, const kernel_table& kernels) const;
  void multiply_floats(const float* values, std::size_t n_tokens, std::size_t from, std::size_t to,
                       float* out, const kernel_table& kernels) const;

  form form_ = form::f32;
  std::size_t rows_ = 0, cols_ = 0;
  std::uint64_t zero_weights_ = 0;
  node_memory weights_;
  std::size_t block_cols_ = 0;    ///< columns that share a scale; 0: all
  std::vector<float> row_scales_; ///< of integer forms: [rows], or [n_blocks, rows]
};

} // namespace bitnetd::engine
