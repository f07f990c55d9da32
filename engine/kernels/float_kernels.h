// SPDX-License-Identifier: MIT
#pragma once

// The float kernels of one instruction set, written once for all of them. The including file says
// how wide its vectors are; lanes, order and rounding stay the same, so that the results do too.
// kernel_functions.h says what each kernel computes. C headers and intrinsics only.
#include "engine/kernels/attention_kernels.h"
#include "engine/kernels/float_lanes.h"
#include "engine/kernels/kernel_functions.h"
#include "engine/kernels/rounding_kernels.h"

namespace bitnetd::engine {
namespace {

// --------------------------------------------------------------------------- dense dot products

/// Rows and tokens that share one pass: as many sums as the registers hold (16 of 32, 8 of 16).
constexpr size_t tile_rows = width == 16 ? 4 : width == 8 ? 2 : 1;
constexpr size_t tile_tokens = width == 16 ? 4 : 2;

template <size_t Rows, size_t Tokens, class T>
inline void dense_tile(const T* w, size_t cols, const float* x, size_t x_stride, float* y,
                       size_t y_stride) {
  float_sums sums[Rows][Tokens] = {};
  const auto add16 = [&](const T* const* wr, const float* const* xt)
      __attribute__((always_inline)) {
    for (size_t p = 0; p < n_parts; ++p) {
      floats weights[Rows];
      for (size_t r = 0; r < Rows; ++r)
        weights[r] = load_floats(wr[r] + p * width);
      for (size_t t = 0; t < Tokens; ++t) {
        const floats values = load<floats>(xt[t] + p * width);
        for (size_t r = 0; r < Rows; ++r)
          sums[r][t].part[p] = fused(weights[r], values, sums[r][t].part[p]);
      }
    }
  };
  const T* wr[Rows];
  const float* xt[Tokens];
  for (size_t r = 0; r < Rows; ++r)
    wr[r] = w + r * cols;
  for (size_t t = 0; t < Tokens; ++t)
    xt[t] = x + t * x_stride;
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes) {
    add16(wr, xt);
    for (size_t r = 0; r < Rows; ++r)
      wr[r] += lanes;
    for (size_t t = 0; t < Tokens; ++t)
      xt[t] += lanes;
  }
  if (c < cols) { // the last columns, filled up with zeros
    T w_tail[Rows][lanes] = {};
    float x_tail[Tokens][lanes] = {};
    for (size_t r = 0; r < Rows; ++r) {
      __builtin_memcpy(w_tail[r], wr[r], (cols - c) * sizeof(T));
      wr[r] = w_tail[r];
    }
    for (size_t t = 0; t < Tokens; ++t) {
      __builtin_memcpy(x_tail[t], xt[t], (cols - c) * sizeof(float));
      xt[t] = x_tail[t];
    }
    add16(wr, xt);
  }
  for (size_t t = 0; t < Tokens; ++t)
    for (size_t r = 0; r < Rows; ++r)
      y[t * y_stride + r] = sum_of(sums[r][t]);
}

template <size_t Rows, class T>
inline void dense_rows(const T* w, size_t cols, const float* x, size_t x_stride, size_t n_tokens,
                       float* y, size_t y_stride) {
  size_t n = 0;
  for (; n + tile_tokens <= n_tokens; n += tile_tokens)
    dense_tile<Rows, tile_tokens>(w, cols, x + n * x_stride, x_stride, y + n * y_stride, y_stride);
  for (; n < n_tokens; ++n)
    dense_tile<Rows, 1>(w, cols, x + n * x_stride, x_stride, y + n * y_stride, y_stride);
}

template <class T>
inline void dense(const T* w, size_t rows, size_t cols, const float* x, size_t x_stride,
                  size_t n_tokens, float* y, size_t y_stride) {
  size_t r = 0;
  for (; r + tile_rows <= rows; r += tile_rows)
    dense_rows<tile_rows>(w + r * cols, cols, x, x_stride, n_tokens, y + r, y_stride);
  for (; r < rows; ++r)
    dense_rows<1>(w + r * cols, cols, x, x_stride, n_tokens, y + r, y_stride);
}

void dense_f32(const float* w, size_t rows, size_t cols, const float* x, size_t x_stride,
               size_t n_tokens, float* y, size_t y_stride) noexcept {
  dense(w, rows, cols, x, x_stride, n_tokens, y, y_stride);
}

void dense_f16(const uint16_t* w, size_t rows, size_t cols, const float* x, size_t x_stride,
               size_t n_tokens, float* y, size_t y_stride) noexcept {
  dense(w, rows, cols, x, x_stride, n_tokens, y, y_stride);
}

// ------------------------------------------------------------------- ternary weights, float rows

/// One panel and `Tokens` tokens. A lane is a row here: no sums across lanes.
template <size_t Tokens>
inline void ternary_panel_f32(const uint8_t* panel, size_t cols, const float* x, size_t x_stride,
                              const float* row_scales, size_t rows, float* y, size_t y_stride) {
  floats sums[Tokens][2][n_parts] = {}; // of even and of odd columns
  for (size_t c = 0; c < cols; ++c) {
    const uint8_t* line = panel + c / 16 * 64;
    const auto shift = static_cast<uint32_t>(8 * (c % 4) + 2 * (c % 16 / 4));
    for (size_t p = 0; p < n_parts; ++p) {
      const words codes = (load<words>(line + 4 * p * width) >> shift) & 3;
      const floats weights = __builtin_convertvector((ints)codes - 1, floats);
      for (size_t t = 0; t < Tokens; ++t)
        sums[t][c % 2][p] += weights * x[t * x_stride + c];
    }
  }
  for (size_t t = 0; t < Tokens; ++t) {
    float lane[lanes];
    for (size_t p = 0; p < n_parts; ++p)
      store(lane + p * width, sums[t][0][p] + sums[t][1][p]);
    for (size_t r = 0; r < rows; ++r)
      y[t * y_stride + r] = lane[r] * row_scales[r];
  }
}

void ternary_gemm_f32(const uint8_t* panels, size_t rows, size_t cols, const float* x,
                      size_t x_stride, size_t n_tokens, const float* row_scales, float* y,
                      size_t y_stride) noexcept {
  constexpr size_t at_once = width == 16 ? 4 : width == 8 ? 2 : 1;
  const size_t panel_bytes = (cols + 127) / 128 * 128 * 4;
  for (size_t r = 0; r < rows; r += 16, panels += panel_bytes) {
    const size_t left = rows - r < 16 ? rows - r : 16;
    size_t n = 0;
    for (; n + at_once <= n_tokens; n += at_once)
      ternary_panel_f32<at_once>(panels, cols, x + n * x_stride, x_stride, row_scales + r, left,
                                 y + n * y_stride + r, y_stride);
    for (; n < n_tokens; ++n)
      ternary_panel_f32<1>(panels, cols, x + n * x_stride, x_stride, row_scales + r, left,
                           y + n * y_stride + r, y_stride);
  }
}

// ------------------------------------------------------------------------ quantize and rescale

void rescale(const int32_t* acc, size_t acc_stride, size_t n_tokens, size_t rows,
             const float* row_scales, const float* x_scales, float* y, size_t y_stride) noexcept {
  for (size_t n = 0; n < n_tokens; ++n) {
    const float back = 1.0f / x_scales[n];
    for (size_t r = 0; r < rows; ++r)
      y[n * y_stride + r] = static_cast<float>(acc[n * acc_stride + r]) * (row_scales[r] * back);
  }
}

/// The largest |x| as bits: for magnitudes the order of bits is the order of values, and NaN comes
/// after infinity, so that nothing is lost whatever the order of comparison.
inline int32_t largest_magnitude_bits(const float* x, size_t cols) {
  ints most = {};
  size_t c = 0;
  for (; c + width <= cols; c += width) {
    const ints bits = load<ints>(x + c) & 0x7fffffff;
    most = bits > most ? bits : most;
  }
  int32_t result = 0;
  for (size_t i = 0; i < width; ++i)
    result = most[i] > result ? most[i] : result;
  for (; c < cols; ++c) {
    int32_t bits;
    __builtin_memcpy(&bits, x + c, sizeof bits);
    bits &= 0x7fffffff;
    result = bits > result ? bits : result;
  }
  return result;
}

/// Adding 1.5 * 2^23 rounds to a whole number, half to even, and leaves it in the low bits. With
/// |x * s| <= 127 * (1 + 2^-23) the result is within -127…127: -128 never comes.
inline ints rounded(floats v) { return as_ints(v + 12582912.0f) - 0x4b400000; }

quantized_row quantize_absmax(const float* x, size_t cols, size_t cols_padded, int8_t* q) noexcept {
  const int32_t bits = largest_magnitude_bits(x, cols);
  if (bits >= 0x7f800000) {
    __builtin_memset(q, 0, cols_padded);
    return {__builtin_nanf(""), 0};
  }
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  const float scale = 127.0f / (largest > 1e-5f ? largest : 1e-5f);

  typedef int8_t codes __attribute__((vector_size(BITNETD_FLOAT_WIDTH)));
  ints sums = {};
  size_t c = 0;
  for (; c + width <= cols; c += width) {
    const ints whole = rounded(load<floats>(x + c) * scale);
    store(q + c, __builtin_convertvector(whole, codes));
    sums += whole;
  }
  if (c < cols) {
    float tail[width] = {};
    __builtin_memcpy(tail, x + c, (cols - c) * sizeof(float));
    const ints whole = rounded(load<floats>(tail) * scale);
    sums += whole;
    for (size_t i = 0; c < cols; ++c, ++i)
      q[c] = static_cast<int8_t>(whole[i]);
  }
  __builtin_memset(q + cols, 0, cols_padded - cols);
  int32_t sum = 0;
  for (size_t i = 0; i < width; ++i)
    sum += sums[i];
  return {scale, sum};
}

// ------------------------------------------------------------------------------ norm, activation

void rms_norm(const float* x, size_t cols, const float* weight, float eps, float* out) noexcept {
  constexpr size_t step = width / 2;
  doubles sums[lanes / step] = {};
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes)
    for (size_t p = 0; p < lanes / step; ++p) {
      const doubles v = __builtin_convertvector(load<half_floats>(x + c + p * step), doubles);
      sums[p] += v * v;
    }
  alignas(64) double lane[lanes];
  for (size_t p = 0; p < lanes / step; ++p)
    store(lane + p * step, sums[p]);
  for (size_t i = 0; c + i < cols; ++i)
    lane[i] += static_cast<double>(x[c + i]) * static_cast<double>(x[c + i]);
  const double mean = tree_sum(lane) / static_cast<double>(cols);
  // Divided, as the published formula does it: values that are exactly half way between two int8
  // codes then fall to the same side as in the reference.
  const auto root = static_cast<float>(__builtin_sqrt(mean + static_cast<double>(eps)));
  for (size_t i = 0; i < cols; ++i)
    out[i] = x[i] / root * weight[i];
}

/// Runs `f(gate) * up` over whole vectors, and over the rest in one filled up with zeros.
template <class F>
inline void gated(const float* gate, const float* up, size_t n, float* out, F f) {
  size_t i = 0;
  for (; i + width <= n; i += width)
    store(out + i, f(load<floats>(gate + i)) * load<floats>(up + i));
  if (i == n)
    return;
  float g[width] = {}, u[width] = {};
  __builtin_memcpy(g, gate + i, (n - i) * sizeof(float));
  __builtin_memcpy(u, up + i, (n - i) * sizeof(float));
  store(g, f(load<floats>(g)) * load<floats>(u));
  __builtin_memcpy(out + i, g, (n - i) * sizeof(float));
}

void squared_relu(const float* gate, const float* up, size_t n, float* out) noexcept {
  gated(gate, up, n, out, [](floats g) {
    const floats positive = g < 0.0f ? floats{} : g; // this way round NaN stays NaN
    return positive * positive;
  });
}

void silu(const float* gate, const float* up, size_t n, float* out) noexcept {
  gated(gate, up, n, out, [](floats g) { return g / (exponential(-g) + 1.0f); });
}

/// tanh by the logistic function: 1 + tanh(u) = 2 / (1 + exp(-2u)).
void gelu_tanh(const float* gate, const float* up, size_t n, float* out) noexcept {
  gated(gate, up, n, out, [](floats g) {
    const floats u = (g + g * g * g * 0.044715f) * 0.7978845608f; // sqrt(2 / pi)
    return g / (exponential(u * -2.0f) + 1.0f);
  });
}

void to_half(const float* x, size_t n, uint16_t* out) noexcept {
  size_t i = 0;
#if BITNETD_FLOAT_WIDTH > 4
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128((__m128i*)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
  for (; i < n; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t half;
    if (magnitude > 0x7f800000) { // NaN: made quiet, as the hardware does
      half = 0x7e00 | (magnitude >> 13 & 0x3ff);
    } else if (magnitude >= 0x477ff000) { // rounds to 65536 or more
      half = 0x7c00;
    } else if (magnitude >= 0x38800000) { // normal: rebias, round on bit 13
      half = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    } else { // subnormal: adding 0.5 leaves the 2^-24ths, rounded to even, in the low bits
      float value;
      __builtin_memcpy(&value, &magnitude, sizeof value);
      value += 0.5f;
      __builtin_memcpy(&half, &value, sizeof half);
      half -= 0x3f000000;
    }
    out[i] = static_cast<uint16_t>(sign | half);
  }
}

// --------------------------------------------------------------------------------- bounds of
// logits

screened_block screen_block(float* y, size_t n, const float* weight_errors,
                            const float* weight_norms, float x_norm, float x_error) noexcept {
  const floats nothing = -__builtin_inff() - floats{}; // e^-inf = 0
  floats max = nothing;
  size_t i = 0;
  for (; i + width <= n; i += width) {
    const floats v = load<floats>(y + i);
    max = v > max ? v : max;
  }
  for (; i < n; ++i)
    max[0] = y[i] > max[0] ? y[i] : max[0];
  screened_block out = {-__builtin_inff(), largest_of(max), 0};

  float_sums sums = {};
  floats top = nothing;
  const auto add16 = [&](float* values, const float* errors, const float* norms)
      __attribute__((always_inline)) {
    for (size_t p = 0; p < n_parts; ++p) {
      const floats v = load<floats>(values + p * width);
      sums.part[p] += exponential(v - out.max);
      const floats bound = v + (load<floats>(errors + p * width) * x_norm +
                                load<floats>(norms + p * width) * x_error);
      top = bound > top ? bound : top;
      store(values + p * width, bound);
    }
  };
  for (i = 0; i + lanes <= n; i += lanes)
    add16(y + i, weight_errors + i, weight_norms + i);
  if (i < n) {
    float values[lanes], errors[lanes] = {}, norms[lanes] = {};
    for (size_t j = 0; j < lanes; ++j)
      values[j] = nothing[0];
    __builtin_memcpy(values, y + i, (n - i) * sizeof(float));
    __builtin_memcpy(errors, weight_errors + i, (n - i) * sizeof(float));
    __builtin_memcpy(norms, weight_norms + i, (n - i) * sizeof(float));
    add16(values, errors, norms);
    __builtin_memcpy(y + i, values, (n - i) * sizeof(float));
  }
  out.top = largest_of(top);
  out.sum = sum_of(sums);
  return out;
}

void turn_halves(float* heads, size_t n_heads, size_t head_dim, const float* cos, const float* sin,
                 size_t n_pairs) noexcept {
  for (size_t h = 0; h < n_heads; ++h) {
    float *first = heads + h * head_dim, *second = first + n_pairs;
    size_t i = 0;
    for (; i + width <= n_pairs; i += width) {
      const floats a = load<floats>(first + i), b = load<floats>(second + i);
      const floats c = load<floats>(cos + i), s = load<floats>(sin + i);
      store(first + i, a * c - b * s);
      store(second + i, b * c + a * s);
    }
    for (; i < n_pairs; ++i) {
      const float a = first[i], b = second[i];
      first[i] = a * cos[i] - b * sin[i];
      second[i] = b * cos[i] + a * sin[i];
    }
  }
}

/// All of them, beside the integer kernels that every instruction set writes its own way.
constexpr kernel_functions float_kernels(ternary_gemm_fn* ternary_gemm, base3_gemm_fn* base3_gemm,
                                         packed_gemm_fn* int4_gemm, packed_gemm_fn* int8_gemm) {
  return {ternary_gemm,    base3_gemm,       int4_gemm,     int8_gemm,
          rescale,         ternary_gemm_f32, dense_f32,     dense_f16,
          quantize_absmax, rms_norm,         squared_relu,  silu,
          gelu_tanh,       turn_halves,      to_half,       from_half,
          extent_of_row,   round_to_4_bits,  attention_f32, attention_f16,
          attention_q8,    attention_merge,  screen_block};
}

} // namespace
} // namespace bitnetd::engine
