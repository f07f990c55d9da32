// SPDX-License-Identifier: MIT
//
// The reference: plain C++ for any machine. Its float kernels are those of every set, in vectors of
// four floats, which the compiler makes of whatever the target has.
#include "engine/kernels/kernel_functions.h"

#define BITNETD_FLOAT_WIDTH 4
#include "engine/kernels/base3_code.h"
#include "engine/kernels/float_kernels.h"

namespace bitnetd::engine {

namespace {

/// The weight of one row and column in one line of its panel (ternary_layout.h, packed_layout.h).
template <unsigned Bits> int32_t weight_of(const uint8_t* line, size_t row, size_t column) {
  constexpr int32_t zero = Bits == 2 ? 1 : 1 << (Bits - 1);
  const auto byte = line[4 * row + column % 4];
  return ((byte >> (column / 4 * Bits)) & ((1 << Bits) - 1)) - zero;
}

template <unsigned Bits>
void packed_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                 const int32_t* /*x_sums: weights have their sign here*/, size_t n_tokens,
                 int32_t* acc, size_t acc_stride) noexcept {
  constexpr size_t columns = 32 / Bits; // of a line
  const size_t lines = (cols + 127) / 128 * 128 / columns;
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* panel = panels + r / 16 * lines * 64;
    for (size_t n = 0; n < n_tokens; ++n) {
      int32_t sum = 0;
      for (size_t l = 0; l < lines; ++l)
        for (size_t c = 0; c < columns; ++c)
          sum += weight_of<Bits>(panel + 64 * l, r % 16, c) * x[n * x_stride + columns * l + c];
      acc[n * acc_stride + r] = sum;
    }
  }
}

void base3_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                const int32_t* /*x_sums*/, size_t n_tokens, int32_t* acc,
                size_t acc_stride) noexcept {
  const size_t lines = (cols + base3_line_columns - 1) / base3_line_columns;
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* bytes = panels + r / 16 * lines * 64 + 4 * (r % 16);
    for (size_t n = 0; n < n_tokens; ++n)
      acc[n * acc_stride + r] = 0;
    for (size_t c = 0; c < cols; ++c) {
      const uint8_t byte = bytes[c / base3_line_columns * 64 + c % 4];
      const size_t plane = c % base3_line_columns / 4;
      const unsigned code = plane == 4 ? base3_fifth(byte) >> 6 : base3_four(byte) >> 2 * plane & 3;
      for (size_t n = 0; n < n_tokens; ++n)
        acc[n * acc_stride + r] += (static_cast<int32_t>(code) - 1) * x[n * x_stride + c];
    }
  }
}

} // namespace

constinit const kernel_functions scalar_functions =
    float_kernels(packed_gemm<2>, base3_gemm, packed_gemm<4>, packed_gemm<8>);

} // namespace bitnetd::engine
