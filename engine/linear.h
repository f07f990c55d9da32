// SPDX-License-Identifier: MIT
#pragma once

#include "engine/compute.h"
#include "engine/kernels/packed_layout.h"
#include "engine/linear_input.h"
#include "engine/telemetry.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// Most tokens and rows of one part of a product (linear::apply_part). The activations of so many
/// tokens fit the second-level cache (885 kB in the widest layer of a 2B model) and their integer
/// sums the stack; a 2B model's smallest matrix (640 rows) still gives several threads something
/// to do. Rows are whole panels.
constexpr std::size_t max_part_tokens = 128, max_part_rows = 64;

/// One weight matrix [rows, cols] in the form in which it is multiplied: ternary (packed, in two
/// bits or in base 3, with one scale per row, or one per row and block of columns), dense (f32 or
/// f16, row-major) or, for heads, rounded to 4 or 8 bits (packed, with one scale per row).
/// Immutable; movable, not copyable; any number of threads may apply it at once.
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
  /// The same in the layout of base3_layout.h, base3_bytes(rows, cols) long: equal products, to the
  /// bit, from a fifth fewer bytes. Under `none` it is brought into two bits each time: slow.
  static linear ternary_base3(std::size_t rows, std::size_t cols, node_memory packed,
                              std::span<const float> row_scales, std::uint64_t zero_weights);
  /// As ternary() with a scale for every `block_cols` columns of a row, a multiple of 128: products
  /// are summed per block, rescaled and added in the order of the blocks. Shapes   scales
  /// [n_blocks, rows].
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
  [[nodiscard]] bool is_ternary() const noexcept {
    return form_ == form::ternary || form_ == form::base3;
  }
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
  /// Parallel inside node.run. Requires in.cols() == cols(): asserted. Defined in products.cpp.
  void apply(linear_input& in, std::span<float> out, const compute_context& on) const;

  /// Brings the input into the form in which apply_part() reads it. Parallel; once per input.
  void prepare(linear_input& in, const compute_context& on) const;
  /// Rows [from, to) of y, from a multiple of 16, for tokens [first, first + n_tokens) of an input
  /// that is prepared, on the calling thread. out [n_tokens][stride], columns 0…to-from-1.
  /// Requires at most max_part_tokens and max_part_rows of them.
  void apply_part(const linear_input& in, std::size_t first, std::size_t n_tokens, std::size_t from,
                  std::size_t to, float* out, std::size_t stride,
                  const kernel_table& kernels) const;
  /// About how long apply() takes one thread.
  [[nodiscard]] std::size_t nanoseconds(const linear_input& in) const noexcept;

  /// y of single rows of a dense matrix, bit-equal to what apply() gives: out[i] = w[rows[i]] . x.
  /// Shapes   x [cols()]; out [rows.size()]. On the calling thread.
  void apply_rows(std::span<const std::uint32_t> rows, const float* x, float* out,
                  const kernel_table& kernels) const;

  /// The weights of one row as floats (an embedding look-up), out [cols()].
  void decode_row(std::size_t row, std::span<float> out, const kernel_table& kernels) const;

  /// Adds what apply() costs on `n` rows: bytes, additions, multiplications, zero additions.
  /// Time is the caller's to measure.
  void add_cost(std::size_t n, operation_cost& cost) const noexcept;

private:
  enum class form { ternary, base3, f32, f16, int4, int8 };
  static linear ternary_of(form layout, std::size_t rows, std::size_t cols, node_memory packed,
                           std::span<const float> row_scales, std::uint64_t zero_weights);
  [[nodiscard]] std::size_t bytes_of_panel() const noexcept;
  [[nodiscard]] ternary_gemm_fn* integer_gemm(const kernel_table& kernels) const noexcept;
  [[nodiscard]] std::size_t n_blocks() const noexcept;
  [[nodiscard]] bool in_integers(const linear_input& in) const noexcept {
    return !is_dense() && in.mode() == activation_quantization::absmax;
  }
  void multiply_blocks(const linear_input& in, std::size_t first, std::size_t n_tokens,
                       std::size_t from, std::size_t to, float* out, std::size_t stride,
                       const kernel_table& kernels) const;
  void multiply_float_blocks(const linear_input& in, std::size_t first, std::size_t n_tokens,
                             std::size_t from, std::size_t to, float* out, std::size_t stride,
                             const kernel_table& kernels) const;
  void multiply_base3_floats(const linear_input& in, std::size_t first, std::size_t n_tokens,
                             std::size_t from, std::size_t to, float* out, std::size_t stride,
                             const kernel_table& kernels) const;
  void multiply_floats(const linear_input& in, std::size_t first, std::size_t n_tokens,
                       std::size_t from, std::size_t to, float* out, std::size_t stride,
                       const kernel_table& kernels) const;

  form form_ = form::f32;
  std::size_t rows_ = 0, cols_ = 0;
  std::uint64_t zero_weights_ = 0;
  node_memory weights_;
  std::size_t block_cols_ = 0;    ///< columns that share a scale; 0: all
  std::vector<float> row_scales_; ///< of integer forms: [rows], or [n_blocks, rows]
};

} // namespace bitnetd::engine
