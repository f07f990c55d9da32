// SPDX-License-Identifier: MIT
//
// AVX2 with FMA and F16C in the flags (fused multiply-add is not used: kernel_functions.h). C
// headers and intrinsics only: an inline function of the C++ library that is compiled here could
// become the copy of the whole program.
#include "engine/kernels/kernel_functions.h"

#define BITNETD_FLOAT_WIDTH 8
#include "engine/kernels/float_kernels.h"

#include <immintrin.h>

namespace bitnetd::engine {

namespace {

constexpr size_t line_bytes = 64;
constexpr size_t block_lines = 8; // 128 columns

/// Eight rows (one half of each line of a panel) against `Tokens` tokens.
///
/// vpmaddubsw adds two products of a code 0..2 and an activation -128..127 in 16 bits: within
/// -512..508. Each line adds four of them, one per bit pair, so the 8 lines of a block add 32:
/// within -16384..16256, far from the limits of int16. Then they are widened. Activations of -128
/// never come from our quantizer, but would be summed exactly.
template <size_t Tokens>
inline void half_panel(const uint8_t* half, size_t lines, const int8_t* x, size_t x_stride,
                       __m256i* sums) {
  const __m256i ones = _mm256_set1_epi16(1), low_pair = _mm256_set1_epi8(3);
  for (size_t t = 0; t < Tokens; ++t)
    sums[t] = _mm256_setzero_si256();
  for (size_t block = 0; block < lines; block += block_lines) {
    __m256i short_sums[Tokens];
    for (size_t t = 0; t < Tokens; ++t)
      short_sums[t] = _mm256_setzero_si256();
    for (size_t l = block; l < block + block_lines; ++l) {
      const __m256i line = _mm256_loadu_si256((const __m256i*)(half + l * line_bytes));
      const __m256i planes[4] = {_mm256_and_si256(line, low_pair),
                                 _mm256_and_si256(_mm256_srli_epi16(line, 2), low_pair),
                                 _mm256_and_si256(_mm256_srli_epi16(line, 4), low_pair),
                                 _mm256_and_si256(_mm256_srli_epi16(line, 6), low_pair)};
      for (size_t t = 0; t < Tokens; ++t)
        for (size_t p = 0; p < 4; ++p) {
          int32_t four;
          __builtin_memcpy(&four, x + t * x_stride + 16 * l + 4 * p, sizeof four);
          short_sums[t] = _mm256_add_epi16(
              short_sums[t], _mm256_maddubs_epi16(planes[p], _mm256_set1_epi32(four)));
        }
    }
    for (size_t t = 0; t < Tokens; ++t)
      sums[t] = _mm256_add_epi32(sums[t], _mm256_madd_epi16(short_sums[t], ones));
  }
}

template <size_t Tokens>
inline void panel_tokens(const uint8_t* panel, size_t lines, size_t rows, const int8_t* x,
                         size_t x_stride, const int32_t* x_sums, int32_t* acc, size_t acc_stride) {
  for (size_t half = 0; 8 * half < rows; ++half) {
    __m256i sums[Tokens];
    half_panel<Tokens>(panel + 32 * half, lines, x, x_stride, sums);
    const size_t left = rows - 8 * half;
    for (size_t t = 0; t < Tokens; ++t) {
      int32_t* to = acc + t * acc_stride + 8 * half;
      const __m256i result = _mm256_sub_epi32(sums[t], _mm256_set1_epi32(x_sums[t]));
      if (left >= 8) {
        _mm256_storeu_si256((__m256i*)to, result);
      } else {
        int32_t all[8];
        _mm256_storeu_si256((__m256i*)all, result);
        __builtin_memcpy(to, all, left * sizeof(int32_t));
      }
    }
  }
}

void ternary_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                  const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                  size_t acc_stride) noexcept {
  constexpr size_t at_once = 4;
  const size_t lines = (cols + 127) / 128 * block_lines;
  for (size_t r = 0; r < rows; r += 16, panels += lines * line_bytes) {
    const size_t left = rows - r < 16 ? rows - r : 16;
    size_t n = 0;
    for (; n + at_once <= n_tokens; n += at_once)
      panel_tokens<at_once>(panels, lines, left, x + n * x_stride, x_stride, x_sums + n,
                            acc + n * acc_stride + r, acc_stride);
    for (; n < n_tokens; ++n)
      panel_tokens<1>(panels, lines, left, x + n * x_stride, x_stride, x_sums + n,
                      acc + n * acc_stride + r, acc_stride);
  }
}

} // namespace

constinit const kernel_functions avx2_functions = float_kernels(ternary_gemm);

} // namespace bitnetd::engine
