// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"
#include "tests/engine/packed_codes.h"
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

TEST_CASE("five weights to a byte give back their codes", "[engine][base3_layout]") {
  auto [rows, cols] = GENERATE(table<std::size_t, std::size_t>(
      {{1, 1}, {16, 20}, {17, 130}, {5, 127}, {48, 380}, {33, 2560}}));
  CAPTURE(rows, cols);
  const auto codes = random_codes(rows * cols, -1, 1, 7);
  const auto packed = test::in_base3(codes, rows, cols);
  CHECK(packed.size() == (rows + 15) / 16 * ((cols + 19) / 20) * 64); // 1.6 bits a weight

  std::vector<std::int8_t> row(cols);
  for (std::size_t r = 0; r < rows; ++r) {
    unpack_base3_row(packed, cols, r, row);
    REQUIRE(std::equal(row.begin(), row.end(), codes.begin() + static_cast<long>(r * cols)));
  }
  std::vector<std::byte> two_bits(packed_bytes(rows, cols)), panel(panel_bytes(cols));
  pack_ternary(codes, rows, cols, 0, two_bits);
  for (std::size_t p = 0; p < padded_rows(rows) / 16; ++p) {
    const auto bytes = base3_panel_bytes(cols);
    unpack_base3_panel(std::span{packed}.subspan(p * bytes, bytes), cols, panel);
    // Padding that has no line of its own is not there.
    const auto n_whole = cols / 16 * 64;
    REQUIRE(std::equal(panel.begin(), panel.begin() + static_cast<long>(n_whole),
                       two_bits.begin() + static_cast<long>(p * panel.size())));
  }
}

TEST_CASE("five weights stand in a byte as documented", "[engine][base3_layout]") {
  // Row 18 of 20, columns 20 + 4 * p + 2 of 40: codes 2, 1, 0, 1, 2 are 2 + 3 + 27 = 32 and 2.
  const std::size_t rows = 20, cols = 40;
  std::vector<std::int8_t> codes(rows * cols, 0);
  const auto put = [&](std::size_t p, std::int8_t weight) {
    codes[18 * cols + 20 + 4 * p + 2] = weight;
  };
  put(0, 1);
  put(2, -1);
  put(4, 1);
  const auto special = base3_panel_bytes(cols) + 64 * 1 + 4 * 2 + 2;
  auto packed = test::in_base3(codes, rows, cols);
  CHECK(std::to_integer<unsigned>(packed[special]) == 2 * 64 + 32);
  CHECK(std::to_integer<unsigned>(packed[special + 1]) == 1 * 64 + 40); // zeros: 1 + 3 + 9 + 27, 1
  // Codes 2, 1, 1, 2, 1 are 2 + 3 + 9 + 54 = 68 and 1: past 63, so counted on from 192.
  put(2, 0);
  put(3, 1);
  put(4, 0);
  packed = test::in_base3(codes, rows, cols);
  CHECK(std::to_integer<unsigned>(packed[special]) == 192 + 17 * 1 + 68 - 64);
}
