// SPDX-License-Identifier: MIT
#include "engine/row_checksum.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <set>

using namespace bitnetd::engine;

TEST_CASE("a row's checksum changes with every code, their order and its length",
          "[engine][row_checksum]") {
  const auto cols = GENERATE(as<std::size_t>{}, 1, 7, 31, 32, 33, 100, 2560);
  auto row = test::random_codes(cols, -1, 1, static_cast<std::uint32_t>(cols));
  CAPTURE(cols);
  std::set<std::uint64_t> seen{row_checksum(row)};
  CHECK(row_checksum(row) == *seen.begin());
  for (auto& code : row) {
    const auto before = code;
    code = static_cast<std::int8_t>(before == 1 ? -1 : before + 1);
    CHECK(seen.insert(row_checksum(row)).second);
    code = before;
  }
  row.push_back(0); // a zero more is another row
  CHECK(seen.insert(row_checksum(row)).second);
  std::swap(row.front(), row.back());
  if (row.front() != row.back())
    CHECK(seen.insert(row_checksum(row)).second);
}
