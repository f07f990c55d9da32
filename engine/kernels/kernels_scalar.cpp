// SPDX-License-Identifier: MIT
//
// The reference: plain C++ for any machine. Its float kernels are those of every set, in vectors of
// four floats, which the compiler makes of whatever the target has.
#include "engine/kernels/kernel_functions.h"

#define BITNETD_FLOAT_WIDTH 4
#include "engine/kernels/float_kernels.h"

namespace bitnetd::engine {

namespace {

/// The code of one row in one line of its panel (ternary_layout.h), less one: the weight.
int32_t weight_of(const uint8_t* line, size_t row, size_t column) {
  const auto byte = line[4 * row + column % 4];
  return ((byte >> (column / 4 * 2)) & 3) - 1;
}

void ternary_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                  const int32_t* /*x_sums: weights are -1, 0, 1 here*/, size_t n_tokens,
                  int32_t* acc, size_t acc_stride) noexcept {
  const size_t lines = (cols + 127) / 128 * 8;
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* panel = panels + r / 16 * lines * 64;
    for (size_t n = 0; n < n_tokens; ++n) {
      int32_t sum = 0;
      for (size_t l = 0; l < lines; ++l)
        for (size_t c = 0; c < 16; ++c)
          sum += weight_of(panel + 64 * l, r % 16, c) * x[n * x_stride + 16 * l + c];
      acc[n * acc_stride + r] = sum;
    }
  }
}

} // namespace

constinit const kernel_functions scalar_functions = float_kernels(ternary_gemm);

} // namespace bitnetd::engine
