// SPDX-License-Identifier: MIT
//
// What AVX-512 with VNNI does better where the CPU also multiplies matrices of bits (GFNI): ternary
// products. C headers and intrinsics only, as in kernels_avx512_vnni.cpp.

// GCC 12 warns about its own header: "undefined" vectors there are written `v = v`.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define BITNETD_FLOAT_WIDTH 16
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

} // namespace

void ternary_gemm_gfni(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x,
                       size_t x_stride, const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                       size_t acc_stride) noexcept {
  gemm<two_bits>(panels, rows, cols, x, x_stride, x_sums, n_tokens, acc, acc_stride);
}

} // namespace bitnetd::engine
