// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"
#include "engine/row_checksum.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <set>

using namespace bitnetd::engine;

namespace {

std::uint64_t checksum_of(const std::vector<std::int8_t>& row) {
  std::vector<std::uint32_t> words(ternary_row_words(row.size()), ternary_zero_word);
  words_of_codes(row, words.data());
  return row_checksum(words, row.size());
}

} // namespace

TEST_CASE("a row's checksum changes with every code, their order and its length",
          "[engine][row_checksum]") {
  const auto cols = GENERATE(as<std::size_t>{}, 1, 7, 31, 32, 33, 100, 2560);
  auto row = test::random_codes(cols, -1, 1, static_cast<std::uint32_t>(cols));
  CAPTURE(cols);
  std::set<std::uint64_t> seen{checksum_of(row)};
  CHECK(checksum_of(row) == *seen.begin());
  for (auto& code : row) {
    const auto before = code;
    code = static_cast<std::int8_t>(before == 1 ? -1 : before + 1);
    CHECK(seen.insert(checksum_of(row)).second);
    code = before;
  }
  row.push_back(0); // a zero more is another row
  CHECK(seen.insert(checksum_of(row)).second);
  std::swap(row.front(), row.back());
  if (row.front() != row.back())
    CHECK(seen.insert(checksum_of(row)).second);
}
