// SPDX-License-Identifier: MIT
//
// What AVX-512 with VNNI does better where the CPU also multiplies matrices of bits (GFNI) and
// permutes bytes (VBMI): ternary products. C headers and intrinsics only, as in
// kernels_avx512_vnni.cpp.

// GCC 12 warns about its own header: "undefined" vectors there are written `v = v`.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#define BITNETD_FLOAT_WIDTH 16
#include "engine/kernels/base3_code.h"
#include "engine/kernels/kernel_functions.h"
#include "engine/kernels/vnni_kernels.h"

namespace bitnetd::engine {

namespace {

/// Two bits to a code, as they are, but a plane is moved to the low bits and masked in one
/// operation: a product of each byte with a matrix of bits.
struct two_bits : packing<2> {
  static inline __attribute__((always_inline)) vector moved(vector line, size_t p) {
    const long long low = 1LL << (2 * p), high = 2 * low; // bits of a byte that go to bits 0 and 1
    return p == 0
               ? line & bytes_everywhere(3)
               : _mm512_gf2p8affine_epi64_epi8(line, _mm512_set1_epi64(low << 56 | high << 48), 0);
  }
};

/// Five codes to a byte (base3_layout.h), for the products of vnni_kernels.h.
struct base3 {
  static constexpr size_t planes = 5, columns = base3_line_columns;
  static constexpr unsigned zero = 1;
  static constexpr bool unpacks = true;
  static constexpr size_t lines(size_t cols) { return (cols + columns - 1) / columns; }

  struct codes {
    vector four;  ///< planes 0 to 3
    vector fifth; ///< plane 4 in the high two bits, times 64; others below
  };
  /// Three look-ups of 64 bytes, two of them for spilled bytes only.
  static inline __attribute__((always_inline)) codes decode(vector line) {
    const vector top = bytes_everywhere(base3_spilled);
    const __mmask64 spilled = _mm512_cmpge_epu8_mask(line, top);
    const vector four = _mm512_permutexvar_epi8(line, load_line(base3_meanings.four));
    const vector fifth =
        _mm512_mask_permutexvar_epi8(line, spilled, line, load_line(base3_meanings.spilled_fifth));
    return {
        _mm512_mask_permutexvar_epi8(four, spilled, line, load_line(base3_meanings.spilled_four)),
        fifth};
  }

  static constexpr size_t places = 4; ///< the fifth plane is where the fourth is
  static constexpr size_t sum_of(size_t p) { return p < 4 ? p : 3; }
  static constexpr unsigned place(size_t p) { return static_cast<unsigned>(2 * p); }
  static inline __attribute__((always_inline)) vector in_place(const codes& line, size_t p) {
    return p < 4 ? two_bits::in_place(line.four, p) : two_bits::in_place(line.fifth, 3);
  }
  static inline __attribute__((always_inline)) vector moved(const codes& line, size_t p) {
    return p < 4 ? two_bits::moved(line.four, p) : two_bits::moved(line.fifth, 3);
  }
};

} // namespace

void ternary_gemm_gfni(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x,
                       size_t x_stride, const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                       size_t acc_stride) noexcept {
  gemm<two_bits>(panels, rows, cols, x, x_stride, x_sums, n_tokens, acc, acc_stride);
}

void base3_gemm_vbmi(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x,
                     size_t x_stride, const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                     size_t acc_stride) noexcept {
  gemm<base3>(panels, rows, cols, x, x_stride, x_sums, n_tokens, acc, acc_stride);
}

} // namespace bitnetd::engine
