// SPDX-License-Identifier: MIT
#pragma once

// Products of base-3 weights (base3_layout.h) for instruction sets that have none of their own: the
// codes of a panel are brought into the layout of two bits, block of columns by block, and
// multiplied there. C headers only.
#include "engine/kernels/base3_code.h"
#include "engine/kernels/kernel_functions.h"

namespace bitnetd::engine {
namespace {

/// Splits a line of 64 bytes into base3_pairs of its first four codes, and 64 times the fifths.
using base3_split_fn = void(const uint8_t* line, uint8_t* pairs, uint8_t* fifths);

/// Four lines of base-3 codes to five lines of 16 columns with two bits each.
template <base3_split_fn* Split> inline void base3_regroup(const uint8_t* lines, uint8_t* to) {
  alignas(64) uint8_t four[4][64], fifth[4][64];
  for (size_t l = 0; l < 4; ++l)
    Split(lines + 64 * l, four[l], fifth[l]);
  for (size_t i = 0; i < 64; ++i) {
    to[i] = four[0][i];
    to[64 + i] = static_cast<uint8_t>(fifth[0][i] >> 6 | four[1][i] << 2);
    to[128 + i] = static_cast<uint8_t>(four[1][i] >> 6 | fifth[1][i] >> 4 | four[2][i] << 4);
    to[192 + i] = static_cast<uint8_t>(four[2][i] >> 4 | fifth[2][i] >> 2 | four[3][i] << 6);
    to[256 + i] = static_cast<uint8_t>(four[3][i] >> 2 | fifth[3][i]);
  }
}

/// `TwoBits` multiplies what is in the layout of two bits, and takes the sums of activations off.
template <base3_split_fn* Split, ternary_gemm_fn* TwoBits>
void base3_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                const int32_t* x_sums, size_t n_tokens, int32_t* acc, size_t acc_stride) noexcept {
  // 640 columns are 32 lines of one and 40 of the other, 5 times 128: 2.5 kB in the first-level
  // cache. Tokens go by 32.
  constexpr size_t block_columns = 640, at_once = 32;
  constexpr int32_t none[at_once] = {};
  const size_t lines = (cols + base3_line_columns - 1) / base3_line_columns;
  for (size_t r = 0; r < rows; r += 16, panels += 64 * lines) {
    const size_t n_rows = rows - r < 16 ? rows - r : 16;
    for (size_t from = 0; from < cols; from += block_columns) {
      const size_t n_columns = cols - from < block_columns ? cols - from : block_columns;
      const uint8_t* block = panels + from / base3_line_columns * 64;
      alignas(64) uint8_t codes[40 * 64];
      size_t l = 0;
      const size_t n_lines = (n_columns + base3_line_columns - 1) / base3_line_columns;
      for (; l + 4 <= n_lines; l += 4)
        base3_regroup<Split>(block + 64 * l, codes + l / 4 * 320);
      if (l < n_lines) {
        uint8_t last[4 * 64] = {};
        __builtin_memcpy(last, block + 64 * l, 64 * (n_lines - l));
        base3_regroup<Split>(last, codes + l / 4 * 320);
        l += 4;
      }
      __builtin_memset(codes + l / 4 * 320, 0, sizeof codes - l / 4 * 320); // columns of no weight
      for (size_t n = 0; n < n_tokens; n += at_once) {
        const size_t n_some = n_tokens - n < at_once ? n_tokens - n : at_once;
        int32_t part[at_once * 16];
        TwoBits(codes, n_rows, n_columns, x + n * x_stride + from, x_stride, none, n_some, part,
                16);
        for (size_t t = 0; t < n_some; ++t)
          for (size_t i = 0; i < n_rows; ++i) {
            int32_t& sum = acc[(n + t) * acc_stride + r + i];
            const auto before = from == 0 ? 0u - (uint32_t)x_sums[n + t] : (uint32_t)sum;
            sum = (int32_t)(before + (uint32_t)part[16 * t + i]); // may wrap, and back
          }
      }
    }
  }
}

} // namespace
} // namespace bitnetd::engine
