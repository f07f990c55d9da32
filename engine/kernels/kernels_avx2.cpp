// SPDX-License-Identifier: MIT
//
// AVX2 with FMA and F16C. C headers and intrinsics only: an inline function of the C++ library that
// is compiled here could become the copy of the whole program.
#include "engine/kernels/kernel_functions.h"

#define BITNETD_FLOAT_WIDTH 8
#include "engine/kernels/base3_avx2.h"
#include "engine/kernels/float_kernels.h"

#include <immintrin.h>

namespace bitnetd::engine {

namespace {

constexpr size_t line_bytes = 64;
constexpr size_t most_at_once = 4; // tokens

inline __m256i four_of(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

inline __m256i widened(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

/// Eight rows (one half of each line of a panel) of `Bits`-bit codes against `Tokens` tokens.
///
/// vpmaddubsw adds two products of an unsigned code and an activation in 16 bits, and saturates;
/// so sums are widened to 32 bits before they can come near the limits of int16. With 2 bits a
/// line adds four pairs within -512…508: 8 lines, within -16384…16256. With 4 bits two pairs
/// within -3840…3810: 4 lines, within -30720…30480.
template <unsigned Bits, size_t Tokens>
inline void half_panel(const uint8_t* half, size_t lines, const int8_t* x, size_t x_stride,
                       __m256i* sums) {
  constexpr size_t planes = 8 / Bits, columns = 4 * planes;
  constexpr size_t block_lines = Bits == 2 ? 8 : 4;
  const __m256i low_bits = _mm256_set1_epi8((1 << Bits) - 1);
  for (size_t t = 0; t < Tokens; ++t)
    sums[t] = _mm256_setzero_si256();
  for (size_t block = 0; block < lines; block += block_lines) {
    __m256i short_sums[Tokens];
    for (size_t t = 0; t < Tokens; ++t)
      short_sums[t] = _mm256_setzero_si256();
    for (size_t l = block; l < block + block_lines; ++l) {
      const __m256i line = _mm256_loadu_si256((const __m256i*)(half + l * line_bytes));
      for (size_t p = 0; p < planes; ++p) {
        const __m256i codes =
            _mm256_and_si256(_mm256_srli_epi16(line, static_cast<int>(Bits * p)), low_bits);
        for (size_t t = 0; t < Tokens; ++t)
          short_sums[t] = _mm256_add_epi16(
              short_sums[t],
              _mm256_maddubs_epi16(codes, four_of(x + t * x_stride + columns * l + 4 * p)));
      }
    }
    for (size_t t = 0; t < Tokens; ++t)
      sums[t] = _mm256_add_epi32(sums[t], widened(short_sums[t]));
  }
}

/// The same with weights of 8 bits: |w| times the activation with the sign of w, two of them within
/// 2 * 127 * 127, widened at once.
template <size_t Tokens>
inline void half_panel_8(const uint8_t* half, size_t lines, const int8_t* x, size_t x_stride,
                         __m256i* sums) {
  const __m256i zero_code = _mm256_set1_epi8(static_cast<char>(128));
  for (size_t t = 0; t < Tokens; ++t)
    sums[t] = _mm256_setzero_si256();
  for (size_t l = 0; l < lines; ++l) {
    const __m256i line = _mm256_loadu_si256((const __m256i*)(half + l * line_bytes));
    const __m256i weights = _mm256_xor_si256(line, zero_code);
    const __m256i magnitudes = _mm256_abs_epi8(weights);
    for (size_t t = 0; t < Tokens; ++t) {
      const __m256i four = _mm256_sign_epi8(four_of(x + t * x_stride + 4 * l), weights);
      sums[t] = _mm256_add_epi32(sums[t], widened(_mm256_maddubs_epi16(magnitudes, four)));
    }
  }
}

template <unsigned Bits, size_t Tokens>
inline void panel_tokens(const uint8_t* panel, size_t lines, size_t rows, const int8_t* x,
                         size_t x_stride, const int32_t* x_sums, int32_t* acc, size_t acc_stride) {
  for (size_t half = 0; 8 * half < rows; ++half) {
    __m256i sums[Tokens];
    int32_t zero = 0; // the code of weight 0, which every product has too much
    if constexpr (Bits == 8) {
      half_panel_8<Tokens>(panel + 32 * half, lines, x, x_stride, sums);
    } else {
      half_panel<Bits, Tokens>(panel + 32 * half, lines, x, x_stride, sums);
      zero = Bits == 2 ? 1 : 8;
    }
    const size_t left = rows - 8 * half;
    for (size_t t = 0; t < Tokens; ++t) {
      int32_t* to = acc + t * acc_stride + 8 * half;
      const __m256i result = _mm256_sub_epi32(sums[t], _mm256_set1_epi32(zero * x_sums[t]));
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

/// Many tokens: the codes of a panel are unpacked once for all of them, a block of columns at a
/// time, into bytes that stay in the first-level cache. Measured to be worth it from 16 tokens on.
constexpr size_t unpacked_columns = 512, worth_unpacking = 16;

template <unsigned Bits>
inline void unpack(const uint8_t* panel, size_t from, size_t to, uint8_t (*out)[line_bytes]) {
  constexpr size_t planes = 8 / Bits;
  const __m256i low_bits = _mm256_set1_epi8((1 << Bits) - 1);
  for (size_t l = from; l < to; ++l)
    for (size_t half = 0; half < 2; ++half) {
      const __m256i line = _mm256_loadu_si256((const __m256i*)(panel + l * line_bytes + 32 * half));
      for (size_t p = 0; p < planes; ++p)
        _mm256_store_si256(
            (__m256i*)(out[(l - from) * planes + p] + 32 * half),
            _mm256_and_si256(_mm256_srli_epi16(line, static_cast<int>(Bits * p)), low_bits));
    }
}

/// Adds `n` groups of four columns of eight rows to the sums of `Tokens` tokens. Sums are widened
/// as in half_panel: every 32 groups of 2-bit codes, every 8 of 4-bit codes.
template <unsigned Bits, size_t Tokens>
inline void unpacked_tile(const uint8_t (*codes)[line_bytes], size_t n, const int8_t* x,
                          size_t x_stride, const int32_t* x_sums, bool first, bool last,
                          int32_t* acc, size_t acc_stride) {
  constexpr size_t short_groups = Bits == 2 ? 32 : 8;
  __m256i sums[Tokens];
  for (size_t t = 0; t < Tokens; ++t)
    sums[t] =
        first ? _mm256_setzero_si256() : _mm256_loadu_si256((const __m256i*)(acc + t * acc_stride));
  for (size_t from = 0; from < n; from += short_groups) {
    __m256i short_sums[Tokens];
    for (size_t t = 0; t < Tokens; ++t)
      short_sums[t] = _mm256_setzero_si256();
    for (size_t i = from; i < from + short_groups; i += 4)
      for (size_t j = 0; j < 4; ++j) { // four to a turn: addresses are computed once for them
        const __m256i four_columns = _mm256_load_si256((const __m256i*)codes[i + j]);
        for (size_t t = 0; t < Tokens; ++t)
          short_sums[t] = _mm256_add_epi16(
              short_sums[t],
              _mm256_maddubs_epi16(four_columns, four_of(x + t * x_stride + 4 * i + 4 * j)));
      }
    for (size_t t = 0; t < Tokens; ++t)
      sums[t] = _mm256_add_epi32(sums[t], widened(short_sums[t]));
  }
  constexpr int32_t zero = Bits == 2 ? 1 : 8;
  for (size_t t = 0; t < Tokens; ++t)
    _mm256_storeu_si256((__m256i*)(acc + t * acc_stride),
                        last ? _mm256_sub_epi32(sums[t], _mm256_set1_epi32(zero * x_sums[t]))
                             : sums[t]);
}

/// One whole panel against all tokens, block of columns by block.
template <unsigned Bits>
inline void panel_unpacked(const uint8_t* panel, size_t lines, const int8_t* x, size_t x_stride,
                           const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                           size_t acc_stride) {
  constexpr size_t planes = 8 / Bits, block_lines = unpacked_columns / 4 / planes;
  alignas(64) uint8_t codes[unpacked_columns / 4][line_bytes];
  for (size_t from = 0; from < lines; from += block_lines) {
    const size_t to = from + block_lines < lines ? from + block_lines : lines;
    unpack<Bits>(panel, from, to, codes);
    const int8_t* columns = x + from * 4 * planes;
    size_t n = 0;
    const auto tile = [&]<size_t Tokens>() {
      for (size_t half = 0; half < 2; ++half)
        unpacked_tile<Bits, Tokens>((const uint8_t(*)[line_bytes])(codes[0] + 32 * half),
                                    (to - from) * planes, columns + n * x_stride, x_stride,
                                    x_sums + n, from == 0, to == lines,
                                    acc + n * acc_stride + 8 * half, acc_stride);
      n += Tokens;
    };
    while (n_tokens - n >= most_at_once)
      tile.template operator()<most_at_once>();
    while (n_tokens - n >= 1)
      tile.template operator()<1>();
  }
}

template <unsigned Bits>
void packed_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                 const int32_t* x_sums, size_t n_tokens, int32_t* acc, size_t acc_stride) noexcept {
  const size_t lines = (cols + 127) / 128 * 128 * Bits / 32;
  for (size_t r = 0; r < rows; r += 16, panels += lines * line_bytes) {
    const size_t left = rows - r < 16 ? rows - r : 16;
    if constexpr (Bits < 8)
      if (n_tokens >= worth_unpacking && left == 16) {
        panel_unpacked<Bits>(panels, lines, x, x_stride, x_sums, n_tokens, acc + r, acc_stride);
        continue;
      }
    size_t n = 0;
    for (; n + most_at_once <= n_tokens; n += most_at_once)
      panel_tokens<Bits, most_at_once>(panels, lines, left, x + n * x_stride, x_stride, x_sums + n,
                                       acc + n * acc_stride + r, acc_stride);
    for (; n < n_tokens; ++n)
      panel_tokens<Bits, 1>(panels, lines, left, x + n * x_stride, x_stride, x_sums + n,
                            acc + n * acc_stride + r, acc_stride);
  }
}

} // namespace

constinit const kernel_functions avx2_functions = float_kernels(
    packed_gemm<2>, base3_gemm<base3_split, packed_gemm<2>>, packed_gemm<4>, packed_gemm<8>);

} // namespace bitnetd::engine
