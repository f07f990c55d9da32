// SPDX-License-Identifier: MIT
#include "engine/quantizer.h"
#include "engine/zero_pattern.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace bitnetd::engine;

TEST_CASE("zeros are counted, and lines of 16 by 16 that hold nothing else", "[engine][zeros]") {
  const std::size_t rows = 40, cols = 512; // two panels and half of one, 32 lines each
  std::vector<std::int8_t> codes(rows * cols, -1);
  const auto clear = [&](std::size_t row, std::size_t col, std::size_t n_rows, std::size_t n_cols) {
    for (auto r = row; r < row + n_rows; ++r)
      for (auto c = col; c < col + n_cols; ++c)
        codes[r * cols + c] = 0;
  };
  clear(0, 48, 16, 16);
  clear(32, 496, 8, 16);
  clear(5, 112, 1, 16);  // one row of a line
  clear(20, 72, 16, 16); // across lines
  const auto type = GENERATE(tensor_type::i2_s, tensor_type::tq1_0, tensor_type::iq2_bn);
  const auto found = find_zeros(type, encode_ternary(type, codes, rows, cols, 0.5f), rows, cols);
  CHECK(found.weights == rows * cols);
  CHECK(found.zero_weights == 256 + 128 + 16 + 256);
  CHECK(found.lines == 3 * 32);
  CHECK(found.zero_lines == 2);
  auto twice = found;
  twice.add(found);
  CHECK(twice.line_share() == Approx(2.0 / 96));
  CHECK(twice.weight_share() == Approx(656.0 / (40 * 512)));
  CHECK(zero_pattern{}.line_share() == 0);
}
