// SPDX-License-Identifier: MIT
//
// 64-bit ARM with the dot product instructions (sdot, ARMv8.2). C headers and intrinsics only: an
// inline function of the C++ library that is compiled here could become the copy of the whole
// program.
#define BITNETD_FLOAT_WIDTH 4
#include "engine/kernels/base3_blocks.h"
#include "engine/kernels/float_kernels.h"

#include <arm_neon.h>

namespace bitnetd::engine {

namespace {

constexpr size_t line_bytes = 64;
constexpr size_t quarters = 4;     // of a line: four rows each, a vector
constexpr size_t most_at_once = 4; // tokens

/// The activations of a line's columns; four of them are a lane, and lane p is that of plane p.
template <unsigned Bits> inline int8x16_t columns_of(const int8_t* x) {
  if constexpr (Bits == 2) {
    return vld1q_s8(x);
  } else if constexpr (Bits == 4) {
    return vcombine_s8(vld1_s8(x), vdup_n_s8(0));
  } else {
    int32_t four;
    __builtin_memcpy(&four, x, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
}

/// The weights of one plane, as they are multiplied: 0…2 and 0…15 where the product with the code
/// of weight 0 is taken off at the end, -127…127 with 8 bits.
template <unsigned Bits, int Plane> inline int8x16_t codes_of(uint8x16_t line) {
  if constexpr (Bits == 8) {
    return vreinterpretq_s8_u8(veorq_u8(line, vdupq_n_u8(0x80)));
  } else {
    uint8x16_t shifted = line;
    if constexpr (Plane > 0)
      shifted = vshrq_n_u8(line, Bits * Plane);
    if constexpr (Plane + 1 < 8 / static_cast<int>(Bits))
      shifted = vandq_u8(shifted, vdupq_n_u8((1 << Bits) - 1));
    return vreinterpretq_s8_u8(shifted);
  }
}

/// Adds what the planes of a line from `Plane` on give for sixteen rows.
template <unsigned Bits, size_t Tokens, int Plane>
inline void add_planes(const uint8x16_t* line, const int8x16_t* columns,
                       int32x4_t (*sums)[quarters]) {
  if constexpr (Plane < 8 / static_cast<int>(Bits)) {
    int8x16_t codes[quarters];
    for (size_t q = 0; q < quarters; ++q)
      codes[q] = codes_of<Bits, Plane>(line[q]);
    for (size_t t = 0; t < Tokens; ++t)
      for (size_t q = 0; q < quarters; ++q)
        sums[t][q] = vdotq_laneq_s32(sums[t][q], codes[q], columns[t], Plane);
    add_planes<Bits, Tokens, Plane + 1>(line, columns, sums);
  }
}

/// One panel against `Tokens` tokens. Every sum is exact in 32 bits (kernel_functions.h).
template <unsigned Bits, size_t Tokens>
inline void panel_tokens(const uint8_t* panel, size_t lines, size_t rows, const int8_t* x,
                         size_t x_stride, const int32_t* x_sums, int32_t* acc, size_t acc_stride) {
  constexpr size_t line_columns = 32 / Bits;
  int32x4_t sums[Tokens][quarters];
  for (size_t t = 0; t < Tokens; ++t)
    for (size_t q = 0; q < quarters; ++q)
      sums[t][q] = vdupq_n_s32(0);
  for (size_t l = 0; l < lines; ++l) {
    uint8x16_t line[quarters];
    for (size_t q = 0; q < quarters; ++q)
      line[q] = vld1q_u8(panel + l * line_bytes + 16 * q);
    int8x16_t columns[Tokens];
    for (size_t t = 0; t < Tokens; ++t)
      columns[t] = columns_of<Bits>(x + t * x_stride + l * line_columns);
    add_planes<Bits, Tokens, 0>(line, columns, sums);
  }
  constexpr int32_t zero = Bits == 2 ? 1 : Bits == 4 ? 8 : 0; // the code of weight 0
  for (size_t t = 0; t < Tokens; ++t) {
    alignas(64) int32_t all[16];
    for (size_t q = 0; q < quarters; ++q)
      vst1q_s32(all + 4 * q, vsubq_s32(sums[t][q], vdupq_n_s32(zero * x_sums[t])));
    __builtin_memcpy(acc + t * acc_stride, all, rows * sizeof(int32_t));
  }
}

template <unsigned Bits>
void packed_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                 const int32_t* x_sums, size_t n_tokens, int32_t* acc, size_t acc_stride) noexcept {
  const size_t lines = (cols + 127) / 128 * 128 * Bits / 32;
  for (size_t r = 0; r < rows; r += 16, panels += lines * line_bytes) {
    const size_t left = rows - r < 16 ? rows - r : 16;
    size_t n = 0;
    for (; n + most_at_once <= n_tokens; n += most_at_once)
      panel_tokens<Bits, most_at_once>(panels, lines, left, x + n * x_stride, x_stride, x_sums + n,
                                       acc + n * acc_stride + r, acc_stride);
    for (; n < n_tokens; ++n)
      panel_tokens<Bits, 1>(panels, lines, left, x + n * x_stride, x_stride, x_sums + n,
                            acc + n * acc_stride + r, acc_stride);
  }
}

/// A look-up gives 0 beyond its 64 bytes, or what was there before: only bytes that are spilled
/// find something in the tables of those.
inline void base3_split(const uint8_t* line, uint8_t* pairs, uint8_t* fifths) {
  const auto table = [](const uint8_t* bytes) { return vld1q_u8_x4(bytes); };
  for (size_t i = 0; i < 64; i += 16) {
    const uint8x16_t bytes = vld1q_u8(line + i), top = vdupq_n_u8(base3_spilled);
    const uint8x16_t spilled = vsubq_u8(bytes, top);
    const uint8x16_t four = vqtbl4q_u8(table(base3_meanings.four), vbicq_u8(bytes, top));
    vst1q_u8(pairs + i, vqtbx4q_u8(four, table(base3_meanings.spilled_four), spilled));
    vst1q_u8(fifths + i,
             vqtbx4q_u8(vandq_u8(bytes, top), table(base3_meanings.spilled_fifth), spilled));
  }
}

} // namespace

constinit const kernel_functions neon_functions = float_kernels(
    packed_gemm<2>, base3_gemm<base3_split, packed_gemm<2>>, packed_gemm<4>, packed_gemm<8>);

} // namespace bitnetd::engine
