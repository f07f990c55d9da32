// SPDX-License-Identifier: MIT
//
// AVX-512 with VNNI. C headers and intrinsics only: an inline function of the C++ library that is
// compiled here could become the copy of the whole program.

// GCC 12 warns about its own header: "undefined" vectors there are written `v = v`.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include "engine/kernels/kernel_functions.h"

#define BITNETD_FLOAT_WIDTH 16
#include "engine/kernels/float_kernels.h"

#include <immintrin.h>

namespace bitnetd::engine {

namespace {

constexpr size_t line_bytes = 64;
constexpr size_t prefetch_lines = 128; // 8 KiB ahead: the hardware stops at page borders

inline __m512i four_of(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

inline void store_rows(int32_t* to, __m512i sums, int32_t x_sum, size_t rows) {
  const auto mask = static_cast<__mmask16>(rows >= 16 ? 0xffffu : (1u << rows) - 1u);
  _mm512_mask_storeu_epi32(to, mask, _mm512_sub_epi32(sums, _mm512_set1_epi32(x_sum)));
}

/// One panel, one token. The bit pairs are not shifted down: they enter as code * 1, 4, 16, 64, and
/// each kind has its own sum, shifted once at the end (exact: every term is a multiple).
///
/// A lane grows by at most 4 * 128 * 128 = 2^16 per line in the largest kind, so after 2^14 lines
/// it is within 2^30; then the sums are shifted and start anew. vpdpbusd is unsigned times signed
/// and does not saturate.
inline __m512i panel_one_token(const uint8_t* panel, size_t lines, const int8_t* x) {
  constexpr size_t most_lines = size_t{1} << 14;
  const __m512i pair0 = _mm512_set1_epi8(3), pair1 = _mm512_set1_epi8(12),
                pair2 = _mm512_set1_epi8(48), pair3 = _mm512_set1_epi8(static_cast<char>(192));
  __m512i total = _mm512_setzero_si512();
  for (size_t l = 0; l < lines;) {
    const size_t end = lines - l < most_lines ? lines : l + most_lines;
    // Two sets, for even and odd lines: eight chains hide the instruction's latency.
    __m512i sums[2][4] = {};
    for (; l < end; l += 2)
      for (size_t i = 0; i < 2; ++i) {
        const uint8_t* at = panel + (l + i) * line_bytes;
        const int8_t* from = x + 16 * (l + i);
        _mm_prefetch((const char*)(at + prefetch_lines * line_bytes), _MM_HINT_T0);
        const __m512i line = _mm512_loadu_si512(at);
        sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], _mm512_and_si512(line, pair0), four_of(from));
        sums[i][1] =
            _mm512_dpbusd_epi32(sums[i][1], _mm512_and_si512(line, pair1), four_of(from + 4));
        sums[i][2] =
            _mm512_dpbusd_epi32(sums[i][2], _mm512_and_si512(line, pair2), four_of(from + 8));
        sums[i][3] =
            _mm512_dpbusd_epi32(sums[i][3], _mm512_and_si512(line, pair3), four_of(from + 12));
      }
    const auto add = [&](size_t pair, unsigned shift) __attribute__((always_inline)) {
      const __m512i both = _mm512_add_epi32(sums[0][pair], sums[1][pair]);
      total = _mm512_add_epi32(total, _mm512_srai_epi32(both, shift));
    };
    add(0, 0);
    add(1, 2);
    add(2, 4);
    add(3, 6);
  }
  return total;
}

/// `Panels` neighbouring panels against `Tokens` tokens: a line is unpacked once for all tokens, a
/// group of four activations loaded once for all panels. 2 x 8 sums and 8 unpacked planes fit the
/// 32 registers. Meanwhile the next panels come into the second-level cache (an eighth faster at 8
/// tokens than prefetching 2 KiB ahead, Xeon 4th generation). Sums of code * x may wrap; taking off
/// the sum of x wraps them back.
template <size_t Panels, size_t Tokens>
inline void panels_tokens(const uint8_t* panels, size_t lines, size_t rows, const int8_t* x,
                          size_t x_stride, const int32_t* x_sums, int32_t* acc, size_t acc_stride) {
  const __m512i low_pair = _mm512_set1_epi8(3);
  const size_t panel_bytes = lines * line_bytes;
  __m512i sums[Panels][Tokens] = {};
  for (size_t l = 0; l < lines; ++l) {
    __m512i planes[Panels][4];
    for (size_t i = 0; i < Panels; ++i) {
      const uint8_t* at = panels + i * panel_bytes + l * line_bytes;
      _mm_prefetch((const char*)(at + Panels * panel_bytes), _MM_HINT_T1);
      const __m512i line = _mm512_loadu_si512(at);
      planes[i][0] = _mm512_and_si512(line, low_pair);
      planes[i][1] = _mm512_and_si512(_mm512_srli_epi16(line, 2), low_pair);
      planes[i][2] = _mm512_and_si512(_mm512_srli_epi16(line, 4), low_pair);
      planes[i][3] = _mm512_and_si512(_mm512_srli_epi16(line, 6), low_pair);
    }
    for (size_t p = 0; p < 4; ++p)
      for (size_t t = 0; t < Tokens; ++t) {
        const __m512i four = four_of(x + t * x_stride + 16 * l + 4 * p);
        for (size_t i = 0; i < Panels; ++i)
          sums[i][t] = _mm512_dpbusd_epi32(sums[i][t], planes[i][p], four);
      }
  }
  for (size_t i = 0; i < Panels; ++i)
    for (size_t t = 0; t < Tokens; ++t)
      store_rows(acc + t * acc_stride + 16 * i, sums[i][t], x_sums[t], rows - 16 * i);
}

/// All tokens of one or two panels, eight, four or one at a time.
template <size_t Panels>
inline void panels_all(const uint8_t* panels, size_t lines, size_t rows, const int8_t* x,
                       size_t x_stride, const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                       size_t acc_stride) {
  size_t n = 0;
  const auto some = [&]<size_t Tokens>() {
    panels_tokens<Panels, Tokens>(panels, lines, rows, x + n * x_stride, x_stride, x_sums + n,
                                  acc + n * acc_stride, acc_stride);
    n += Tokens;
  };
  while (n_tokens - n >= 8)
    some.template operator()<8>();
  if (n_tokens - n >= 4)
    some.template operator()<4>();
  if (n_tokens - n >= 2)
    some.template operator()<2>();
  if (n_tokens - n >= 1)
    some.template operator()<1>();
}

void ternary_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                  const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                  size_t acc_stride) noexcept {
  const size_t lines = (cols + 127) / 128 * 8;
  const size_t panel_bytes = lines * line_bytes;
  if (n_tokens == 1) {
    for (size_t r = 0; r < rows; r += 16, panels += panel_bytes)
      store_rows(acc + r, panel_one_token(panels, lines, x), x_sums[0], rows - r);
    return;
  }
  size_t r = 0;
  for (; r + 16 < rows; r += 32, panels += 2 * panel_bytes)
    panels_all<2>(panels, lines, rows - r, x, x_stride, x_sums, n_tokens, acc + r, acc_stride);
  if (r < rows)
    panels_all<1>(panels, lines, rows - r, x, x_stride, x_sums, n_tokens, acc + r, acc_stride);
}

} // namespace

constinit const kernel_functions avx512_vnni_functions = float_kernels(ternary_gemm);

} // namespace bitnetd::engine
