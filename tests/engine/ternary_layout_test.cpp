// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace bitnetd::engine;
using test::random_codes;

TEST_CASE("a packed ternary matrix gives back its codes", "[engine][ternary_layout]") {
  auto [rows, cols] = GENERATE(table<std::size_t, std::size_t>(
      {{1, 1}, {16, 128}, {17, 130}, {5, 127}, {48, 384}, {33, 2560}}));
  CAPTURE(rows, cols);
  const auto codes = random_codes(rows * cols, -1, 1, 7);
  std::vector<std::byte> packed(packed_bytes(rows, cols));
  const auto zeros = pack_ternary(codes, rows, cols, 0, packed);
  CHECK(zeros == static_cast<std::uint64_t>(std::ranges::count(codes, 0)));

  std::vector<std::int8_t> row(cols);
  for (std::size_t r = 0; r < rows; ++r) {
    unpack_ternary_row(packed, cols, r, row);
    REQUIRE(std::equal(row.begin(), row.end(), codes.begin() + static_cast<long>(r * cols)));
  }
}

TEST_CASE("a packed ternary matrix stands in memory as documented", "[engine][ternary_layout]") {
  // One weight of +1 (code 2) in a matrix of zeros (code 1): row 18, column 16 + 4 * 2 + 3.
  const std::size_t rows = 20, cols = 40;
  std::vector<std::int8_t> codes(rows * cols, 0);
  codes[18 * cols + 27] = 1;
  std::vector<std::byte> packed(packed_bytes(rows, cols));
  pack_ternary(codes, rows, cols, 0, packed);

  CHECK(packed.size() == 2 * 4 * 128); // 2 panels of 16 rows, 128 columns
  const auto special = panel_bytes(cols) + 64 * 1 + 4 * 2 + 3;
  for (std::size_t i = 0; i < packed.size(); ++i)
    REQUIRE(std::to_integer<unsigned>(packed[i]) == (i == special ? 0x65u : 0x55u));
}

TEST_CASE("ranges of rows packed apart give the same bytes", "[engine][ternary_layout]") {
  const std::size_t rows = 37, cols = 200;
  const auto codes = random_codes(rows * cols, -1, 1, 9);
  std::vector<std::byte> whole(packed_bytes(rows, cols)), parts(whole.size());
  const auto zeros = pack_ternary(codes, rows, cols, 0, whole);
  const std::span all{codes};
  const auto last = pack_ternary(all.subspan(32 * cols), rows, cols, 32, parts);
  const auto first = pack_ternary(all.first(32 * cols), rows, cols, 0, parts);
  CHECK(parts == whole);
  CHECK(first + last == zeros);
}
