// SPDX-License-Identifier: MIT
#pragma once

// Included by the files that are compiled for one instruction set: C headers only.
#include <stddef.h>
#include <stdint.h>

namespace bitnetd::engine {

/// Ternary matrix times int8 vectors, the inner loop of every BitLinear layer.
///
///   acc[n][r] = sum_c t[r][c] * x[n][c]
///
/// Shapes   panels: `rows` rows in the packed layout of ternary_layout.h, from a panel's start;
///          x [n_tokens, x_stride], x_sums [n_tokens] the sums of their rows;
///          acc [n_tokens, acc_stride], columns 0…rows-1 are written.
/// Requires cols padded to 128 with zero activations, cols < 2^24.
/// Errors   none. Sums are exact in int32 for any int8 input, -128 included: all variants agree bit
///          for bit. A row is read from memory once, however many tokens there are.
/// Source   Ma et al. 2024, arXiv:2402.17764, section 2.
using ternary_gemm_fn = void(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x,
                             size_t x_stride, const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                             size_t acc_stride) noexcept;

/// The same products and the same sums of panels in the layout of base3_layout.h.
/// Requires 32 readable bytes beyond the last row of x, whatever is in them: a line has 20 columns.
using base3_gemm_fn = ternary_gemm_fn;

/// The same products with weights of 4 and of 8 bits (packed_layout.h): a head, or a copy of one.
///
///   acc[n][r] = sum_c w[r][c] * x[n][c],   w in -8…7 or -127…127
///
/// Requires x within -127…127, as the quantizer gives it; cols <= 65536, so that no sum overflows.
using packed_gemm_fn = ternary_gemm_fn;

/// From integer sums to values: y[n][r] = acc[n][r] * (row_scales[r] * (1 / x_scales[n])).
/// Shapes   acc [n_tokens, acc_stride]; row_scales [rows]; y [n_tokens, y_stride].
using rescale_fn = void(const int32_t* acc, size_t acc_stride, size_t n_tokens, size_t rows,
                        const float* row_scales, const float* x_scales, float* y,
                        size_t y_stride) noexcept;

/// Ternary matrix times float vectors, for models whose activations are not quantized.
///
///   y[n][r] = (sum_c t[r][c] * x[n][c]) * row_scales[r]
///
/// Shapes   panels as above; x [n_tokens, x_stride], columns 0…cols-1 are read; row_scales [rows];
///          y [n_tokens, y_stride], columns 0…rows-1 are written.
/// Even and odd columns are summed apart, in ascending order.
using ternary_gemm_f32_fn = void(const uint8_t* panels, size_t rows, size_t cols, const float* x,
                                 size_t x_stride, size_t n_tokens, const float* row_scales,
                                 float* y, size_t y_stride) noexcept;

/// Dense dot products, used for the head and for layers that a file keeps in higher precision.
///
///   y[n][r] = sum_c w[r][c] * x[n][c]
///
/// Shapes   w [rows, cols] floats or halves, row-major, any cols; x [n_tokens, x_stride];
///          y [n_tokens, y_stride], columns 0…rows-1 are written.
/// Column c goes to lane c % 16; lanes are added as a tree: +8, +4, +2, +1.
using dense_f32_fn = void(const float* w, size_t rows, size_t cols, const float* x, size_t x_stride,
                          size_t n_tokens, float* y, size_t y_stride) noexcept;
using dense_f16_fn = void(const uint16_t* w, size_t rows, size_t cols, const float* x,
                          size_t x_stride, size_t n_tokens, float* y, size_t y_stride) noexcept;

/// What quantizing one row gave beside the codes.
struct quantized_row {
  float scale; ///< s = 127 / max(max|x|, 1e-5); NaN when x is not finite
  int32_t sum; ///< of the codes
};

/// Per-token int8 quantization by absolute maximum: q = round_half_even(x * s), within -127…127.
/// `q` is padded with zeros to cols_padded. A row with NaN or infinity gives zeros and scale NaN.
using quantize_absmax_fn = quantized_row(const float* x, size_t cols, size_t cols_padded,
                                         int8_t* q) noexcept;

/// out = x / sqrt(mean(x^2) + eps) * weight, one row; the mean in double, in 16 lanes as above.
/// `out` may be `x`.
using rms_norm_fn = void(const float* x, size_t cols, const float* weight, float eps,
                         float* out) noexcept;

/// One of the gated activations, element by element: out = f(gate) * up. `out` may be an operand.
using gated_fn = void(const float* gate, const float* up, size_t n, float* out) noexcept;

/// Rotary position embedding of one row, pairs half a head apart, in place:
///
///   (a, b) <- (a cos[i] - b sin[i], b cos[i] + a sin[i]),   a = head[i], b = head[n_pairs + i]
///
/// Shapes   heads [n_heads, head_dim]; cos, sin [n_pairs], 2 * n_pairs <= head_dim.
using turn_halves_fn = void(float* heads, size_t n_heads, size_t head_dim, const float* cos,
                            const float* sin, size_t n_pairs) noexcept;

/// Floats to IEEE halves, round to nearest even.
using to_half_fn = void(const float* x, size_t n, uint16_t* out) noexcept;

/// IEEE halves to floats, exactly.
using from_half_fn = void(const uint16_t* x, size_t n, float* out) noexcept;

/// How large the values of a row are, which must be finite.
struct row_extent {
  float largest;  ///< magnitude
  double squares; ///< sum of squares, in eight lanes of doubles added from the first to the last
};
using row_extent_fn = row_extent(const float* row, size_t cols) noexcept;

/// What a row's copy of 4 bits is like: sums as above.
struct rounding_error {
  double copy_squares;  ///< of the values that the codes stand for
  double error_squares; ///< of the row less these
};

/// Rounds a row to the odd multiples of `scale` from -15 to 15: code c in -8…7 stands for 2 c + 1.
using round_to_4_bits_fn = rounding_error(const float* row, size_t cols, float scale,
                                          int8_t* codes) noexcept;

/// Most positions of one attention part: 8 pages of 32.
constexpr size_t attention_part_positions = 256;

/// Attention of a few queries that read one KV head, over up to 256 neighbouring positions.
struct attention_part {
  const float* const* queries; ///< [n_queries] of head_dim values
  const size_t* n_visible;     ///< [n_queries]: query i sees positions before n_visible[i] <= 256,
  const size_t* n_hidden;      ///< [n_queries]: but not the first n_hidden[i] (out of its window)
  size_t n_queries, head_dim;
  /// One per page of 32 positions: [head_dim][32] and [32][head_dim] floats, halves or, after 32
  /// floats that are the scales of the positions, codes of 8 bits.
  const void* const* keys;
  const void* const* values;
  float scale;       ///< on q . k
  float* max;        ///< [n_queries] out: largest scaled score; untouched if none is seen
  float* sum;        ///< [n_queries] out: sum of exp(score - max); 0 if none is seen
  float* const* out; ///< [n_queries] of head_dim: sum of exp(score - max) * value, not divided
};
using attention_fn = void(const attention_part& part) noexcept;

/// Adds a later part of the same query to an earlier one; out is divided by nobody yet.
using attention_merge_fn = void(float* max, float* sum, float* out, float part_max, float part_sum,
                                const float* part_out, size_t head_dim) noexcept;

/// What one block of approximate logits looks like.
struct screened_block {
  float top; ///< the largest upper bound; NaN never comes
  float max; ///< the largest approximation
  float sum; ///< sum of exp(approximation - max)
};

/// Turns approximate logits into upper bounds of the exact ones (head_screen.h):
///
///   y[r] <- y[r] + (weight_errors[r] * x_norm + weight_norms[r] * x_error)
///
/// Shapes   all [n], n >= 1. The sum of exponentials has 16 lanes and a tree, as dot products have.
using screen_block_fn = screened_block(float* y, size_t n, const float* weight_errors,
                                       const float* weight_norms, float x_norm,
                                       float x_error) noexcept;

/// One complete set of kernels for one instruction set. Every entry is non-null.
///
/// All results are bit-equal across sets, floats too: every float kernel is one source
/// (float_kernels.h) with 16 lanes whatever the vector width and its own exponential. Dot products
/// and attention add fused (rounded once, in software where the CPU has no such instruction); all
/// else is rounded operation by operation. A sequence may move between machines and keep its bits.
struct kernel_functions {
  ternary_gemm_fn* ternary_gemm;
  base3_gemm_fn* base3_gemm;
  packed_gemm_fn* int4_gemm;
  packed_gemm_fn* int8_gemm;
  rescale_fn* rescale;
  ternary_gemm_f32_fn* ternary_gemm_f32;
  dense_f32_fn* dense_f32;
  dense_f16_fn* dense_f16;
  quantize_absmax_fn* quantize_absmax;
  rms_norm_fn* rms_norm;
  gated_fn* squared_relu;
  gated_fn* silu;
  gated_fn* gelu_tanh;
  turn_halves_fn* turn_halves;
  to_half_fn* to_half;
  from_half_fn* from_half;
  row_extent_fn* extent_of_row;
  round_to_4_bits_fn* round_to_4_bits;
  attention_fn* attention_f32;
  attention_fn* attention_f16;
  attention_fn* attention_q8;
  attention_merge_fn* attention_merge;
  screen_block_fn* screen_block;
};

extern const kernel_functions scalar_functions;
extern const kernel_functions avx2_functions;        ///< AVX2, FMA and F16C in the flags
extern const kernel_functions avx_vnni_functions;    ///< AVX-VNNI: vpdpbusd in 256 bits
extern const kernel_functions avx512_vnni_functions; ///< AVX-512 F, BW, DQ, VL, VNNI
ternary_gemm_fn ternary_gemm_gfni; ///< for the same set where there are GFNI and VBMI, too
base3_gemm_fn base3_gemm_vbmi;
extern const kernel_functions neon_functions; ///< 64-bit ARM with sdot

} // namespace bitnetd::engine
