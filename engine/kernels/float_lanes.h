// SPDX-License-Identifier: MIT
#pragma once

// Vectors of BITNETD_FLOAT_WIDTH floats (4, 8 or 16: what the including file's flags have) in GCC's
// vector extension, and sixteen-lane sums of them. Everything is static: each instruction set has
// its own copy. C headers and intrinsics only.
#include <stddef.h>
#include <stdint.h>

#if BITNETD_FLOAT_WIDTH > 4
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace bitnetd::engine {
namespace {

constexpr size_t width = BITNETD_FLOAT_WIDTH;
constexpr size_t lanes = 16;
constexpr size_t n_parts = lanes / width;

typedef float floats __attribute__((vector_size(4 * BITNETD_FLOAT_WIDTH)));
typedef int32_t ints __attribute__((vector_size(4 * BITNETD_FLOAT_WIDTH)));
typedef uint32_t words __attribute__((vector_size(4 * BITNETD_FLOAT_WIDTH)));
typedef float half_floats __attribute__((vector_size(2 * BITNETD_FLOAT_WIDTH)));
typedef double doubles __attribute__((vector_size(4 * BITNETD_FLOAT_WIDTH)));

template <class V, class T> inline __attribute__((always_inline)) V load(const T* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class V, class T> inline __attribute__((always_inline)) void store(T* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

inline __attribute__((always_inline)) floats as_floats(ints v) { return (floats)v; }
inline __attribute__((always_inline)) ints as_ints(floats v) { return (ints)v; }

/// Loads `width` values as floats; halves and codes are widened exactly.
inline __attribute__((always_inline)) floats load_floats(const float* from) {
  return load<floats>(from);
}

inline __attribute__((always_inline)) floats load_floats(const uint16_t* from) {
#if BITNETD_FLOAT_WIDTH == 16
  return (floats)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#elif BITNETD_FLOAT_WIDTH == 8
  return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
#elif defined(__aarch64__)
  return (floats)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
#else
  // A half's exponent and mantissa, moved into a float's, are the value times 2^-112; the product
  // is exact, subnormal halves included. The largest exponent means infinity or NaN.
  const ints half = {from[0], from[1], from[2], from[3]};
  const ints magnitude = (half & 0x7fff) << 13;
  const floats value = as_floats(magnitude) * 0x1p112f;
  const ints special = (half & 0x7fff) >= 0x7c00;
  return as_floats((as_ints(value) & ~special) | ((magnitude | 0x7f800000) & special) |
                   ((half & 0x8000) << 16));
#endif
}

inline __attribute__((always_inline)) floats load_floats(const int8_t* from) {
#if BITNETD_FLOAT_WIDTH == 16
  return (floats)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)from)));
#elif BITNETD_FLOAT_WIDTH == 8
  return (floats)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)from)));
#else
  typedef int8_t codes __attribute__((vector_size(4)));
  return __builtin_convertvector(load<codes>(from), floats);
#endif
}

inline float to_float(float x) { return x; }
inline float to_float(int8_t code) { return static_cast<float>(code); }
inline float to_float(uint16_t half) {
  uint16_t group[width] = {half};
  return load_floats(group)[0];
}

/// a * b + c, rounded once: the same bits whatever computes it.
inline __attribute__((always_inline)) floats fused(floats a, floats b, floats c) {
#if BITNETD_FLOAT_WIDTH == 16
  return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif BITNETD_FLOAT_WIDTH == 8
  return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  floats result;
  for (size_t i = 0; i < width; ++i)
    result[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return result;
#else
  // In doubles the product is exact, and the sum is rounded to odd: to the neighbour with an odd
  // last bit where it is not exact. Rounding that to a float gives what one rounding gives
  // (Boldo and Melquiond 2008, Emulation of FMA and correctly rounded sums).
  typedef double wide __attribute__((vector_size(8 * BITNETD_FLOAT_WIDTH)));
  typedef int64_t wide_bits __attribute__((vector_size(8 * BITNETD_FLOAT_WIDTH)));
  const wide product = __builtin_convertvector(a, wide) * __builtin_convertvector(b, wide);
  const wide addend = __builtin_convertvector(c, wide);
  const wide sum = product + addend;
  const wide from_addend = sum - product;
  const wide lost = (product - (sum - from_addend)) + (addend - from_addend); // exact
  const wide_bits is_even = ((wide_bits)sum & 1) - 1, is_inexact = (lost > 0.0) | (lost < 0.0);
  const wide_bits same_sign = ~((lost > 0.0) ^ (sum > 0.0)); // away from zero, else towards it
  const wide_bits step = (same_sign & 2) - 1;
  return __builtin_convertvector((wide)((wide_bits)sum + (step & is_inexact & is_even)), floats);
#endif
}

inline float fused(float a, float b, float c) {
  return fused(a - floats{}, b - floats{}, c - floats{})[0];
}

/// Sixteen running sums; value number c belongs to lane c % 16.
struct float_sums {
  floats part[n_parts];
};

/// The sum of sixteen lanes, always as the same tree.
template <class T> inline T tree_sum(T* lane) {
  for (size_t step = lanes / 2; step > 0; step /= 2)
    for (size_t i = 0; i < step; ++i)
      lane[i] += lane[i + step];
  return lane[0];
}

inline float sum_of(const float_sums& sums) {
  alignas(64) float lane[lanes];
  for (size_t p = 0; p < n_parts; ++p)
    store(lane + p * width, sums.part[p]);
  return tree_sum(lane);
}

/// The largest lane; -infinity where there is none (NaN is no candidate).
inline float largest_of(floats v) {
  float most = -__builtin_inff();
  for (size_t i = 0; i < width; ++i)
    most = v[i] > most ? v[i] : most;
  return most;
}

/// e^x to 2 units in the last place for x <= 88; 0 below -87.3; NaN stays NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two pieces so that r is exact to the last bit; then
/// a polynomial for e^r (minimax on that interval, degree 6) and 2^n by the exponent field. Our
/// own, because a library's exp differs in its last bit from machine to machine.
inline __attribute__((always_inline)) floats exponential(floats x) {
  const floats clamped = x > 88.0f ? 88.0f - floats{} : x;
  const floats shifted = clamped * 1.44269504f + 12582912.0f; // 1.5 * 2^23: rounds to whole numbers
  const floats n = shifted - 12582912.0f;
  const floats r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const floats power = p * (r * r) + r + 1.0f;
  const ints exponent = ((as_ints(shifted) - 0x4b400000) + 127) << 23;
  const floats result = power * as_floats(exponent);
  return x < -87.3f ? floats{} : result;
}

} // namespace
} // namespace bitnetd::engine
