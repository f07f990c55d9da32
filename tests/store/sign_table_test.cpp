// SPDX-License-Identifier: MIT
#include "store/fine_query.h"
#include "store/sign_table.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

using namespace bitnetd::store;

namespace {

constexpr std::size_t n_values = 100; // not a multiple of what rows are padded to

std::vector<std::int8_t> signed_row(std::mt19937_64& random) {
  std::vector<std::int8_t> out(padded(n_values), 0);
  for (std::size_t i = 0; i < n_values; ++i)
    out[i] = static_cast<std::int8_t>(static_cast<int>(random() % 201) - 100);
  return out;
}

std::vector<std::int8_t> moved_by(const std::vector<std::int8_t>& row, int by,
                                  std::mt19937_64& random) {
  auto out = row;
  for (std::size_t i = 0; i < n_values; ++i)
    out[i] = static_cast<std::int8_t>(out[i] + static_cast<int>(random() % (2 * by + 1)) - by);
  return out;
}

} // namespace

TEST_CASE("rows in nearly the query's direction are found by their signs", "[store][segment]") {
  std::mt19937_64 random{3};
  sign_table table(n_values);
  std::vector<std::vector<std::int8_t>> rows;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    rows.push_back(signed_row(random));
    table.add(i, rows.back().data());
  }
  table.seal();
  CHECK(table.bytes() < 5000 * 8 + 24 * padded(n_values) + 1);
  std::size_t same = 0, near_ones = 0, looked_at = 0;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const auto itself = table.find(rows[i].data());
    same += std::ranges::count(itself, i) == 1;
    const auto found = table.find(moved_by(rows[i], 3, random).data());
    near_ones += std::ranges::count(found, i) == 1;
    looked_at += found.size();
    CHECK(std::set(found.begin(), found.end()).size() == found.size());
  }
  CHECK(same == 5000);
  CHECK(near_ones > 4900);     // 2 degrees away
  CHECK(looked_at < 5000 * 2); // and hardly anything else
}

TEST_CASE("of many rows in one direction some are found, however many there are",
          "[store][segment]") {
  std::mt19937_64 random{4};
  const auto row = signed_row(random);
  sign_table table(n_values);
  for (std::uint32_t i = 0; i < 3000; ++i)
    table.add(i, row.data());
  table.seal();
  CHECK(table.find(row.data()).size() == sign_table::max_found);
  CHECK(sign_table(n_values).find(row.data()).empty());
}
