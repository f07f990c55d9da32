// SPDX-License-Identifier: MIT
#pragma once

#include "engine/compute.h"
#include "engine/model.h"

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

  /// Takes rows that are normalised first; the floats are not needed any more afterwards.
  ///
  ///   row[c] = x[c] / sqrt(mean(x^2) + eps) * weight[c]
  ///
  /// Shapes   x [n_rows, cols]; weight [cols]. Under `absmax` norm and quantizing are one pass over
  ///          each row, and normalised floats are not written to memory.
  void assign_normalised(std::span<const float> x, std::size_t n_rows, std::size_t cols,
                         std::span<const float> weight, float eps, activation_quantization mode,
                         const compute_context& on);

  /// Quantizes the rows if `absmax` is asked and it has not been done since assign(); nothing
  /// otherwise. linear::prepare calls it; call it yourself only to measure it apart.
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
  [[nodiscard]] const std::int8_t* codes() const noexcept {
    return reinterpret_cast<const std::int8_t*>(codes_.data());
  }
  [[nodiscard]] std::size_t code_stride() const noexcept;
  [[nodiscard]] const float* scales() const noexcept { return scales_.data(); } ///< s, [n_rows]
  /// Sum of each row's int8 values, [n_rows]: what the kernels take off for coding t as t + 1.
  [[nodiscard]] const std::int32_t* sums() const noexcept { return sums_.data(); }
  /// The floats that a dense layer multiplies, [n_rows, cols]: the rows themselves, or q / s under
  /// `absmax`: once restore_values() was called.
  [[nodiscard]] const float* values() const noexcept {
    return mode_ == activation_quantization::none ? rows_.data() : values_.data();
  }
  void restore_values(const compute_context& on);
  /// Sums of the int8 values of every row in blocks of `block_cols` columns, for layers with a
  /// scale per block: [n_blocks, n_rows]. Quantizes first.
  void sum_blocks(std::size_t block_cols, const compute_context& on);
  [[nodiscard]] const std::int32_t* block_sums(std::size_t block) const noexcept {
    return block_sums_.data() + block * n_rows_;
  }

private:
  void begin(std::size_t n_rows, std::size_t cols, activation_quantization mode) noexcept;
  void make_room(const compute_context& on);
  void quantize_row(std::size_t row, const float* values, const kernel_table& kernels) noexcept;

  std::span<const float> rows_;
  std::size_t n_rows_ = 0, cols_ = 0;
  activation_quantization mode_ = activation_quantization::none;
  bool quantized_ = false, restored_ = false;
  std::size_t summed_block_ = 0; ///< columns of the blocks in block_sums_; 0: not summed
  node_memory codes_;
  std::vector<float> scales_, values_;
  std::vector<std::int32_t> sums_, block_sums_;
};

} // namespace bitnetd::engine
