// SPDX-License-Identifier: MIT
#include "store/vector_index.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>

using namespace bitnetd::store;
using namespace bitnetd::tests;

namespace {

using vector = std::vector<float>;

vector random_vector(std::mt19937& random, std::size_t size) {
  std::normal_distribution<float> normal;
  vector out(size);
  double sum = 0;
  for (auto& value : out) {
    value = normal(random);
    sum += static_cast<double>(value) * value;
  }
  for (auto& value : out)
    value = static_cast<float>(value / std::sqrt(sum));
  return out;
}

template <class A, class B> double cosine(const A& a, const B& b) {
  double product = 0, norm_a = 0, norm_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    norm_a += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    norm_b += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return product / std::sqrt(norm_a * norm_b);
}

} // namespace

TEST_CASE("a search gives the order and cosines of brute force in double", "[store][vector]") {
  std::mt19937 random(1);
  const std::size_t dimension = GENERATE(1, 31, 32, 100, 384, 1024, 2000);
  const std::size_t n = 300;
  vector_index index(dimension);
  std::vector<std::vector<std::int8_t>> rows;
  std::vector<vector> exact;
  for (std::size_t i = 0; i < n; ++i) {
    exact.push_back(random_vector(random, dimension));
    must(index.add(i, exact.back()));
    rows.push_back(must(quantize(exact.back())).values);
  }
  for (int round = 0; round < 5; ++round) {
    const auto query = random_vector(random, dimension);
    const auto found = must(index.search(query, n));
    REQUIRE(found.size() == n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto& one = found[i];
      // Against what is stored: only the query's 13 bits are between the two.
      REQUIRE(one.cosine == Approx(cosine(query, rows[one.entry])).margin(2e-4));
      // Against the vectors as given: int8 rounding as well.
      REQUIRE(one.cosine == Approx(cosine(query, exact[one.entry])).margin(0.02));
      if (i > 0)
        REQUIRE(found[i - 1].cosine >= one.cosine);
    }
    const auto few = must(index.search(query, 7));
    REQUIRE(few.size() == 7);
    for (std::size_t i = 0; i < 7; ++i)
      REQUIRE(few[i].entry == found[i].entry);
  }
}

TEST_CASE("a stored vector finds itself first, with a cosine of one", "[store][vector]") {
  std::mt19937 random(2);
  vector_index index(384);
  std::vector<vector> all;
  for (std::uint64_t i = 0; i < 500; ++i) {
    all.push_back(random_vector(random, 384));
    must(index.add(1000 + i, all.back()));
  }
  for (std::uint64_t i = 0; i < 500; ++i) {
    const auto best = must(index.search(all[i], 1));
    REQUIRE(best.front().entry == 1000 + i);
    REQUIRE(best.front().cosine == Approx(1).margin(1e-3));
    for (auto& value : all[i])
      value = -value;
    REQUIRE(must(index.search(all[i], 500)).back().cosine == Approx(-1).margin(1e-3));
  }
}

TEST_CASE("equal cosines come in the order of their entries", "[store][vector]") {
  vector_index index(4);
  const vector one = {1, 0, 0, 0}, other = {0, 1, 0, 0};
  for (const std::uint64_t entry : {30, 10, 20})
    must(index.add(entry, one));
  must(index.add(5, other));
  const auto found = must(index.search(one, 4));
  CHECK(found[0].entry == 10);
  CHECK(found[1].entry == 20);
  CHECK(found[2].entry == 30);
  CHECK(found[3].entry == 5);
  CHECK(found[3].cosine == 0);
}

TEST_CASE("only the direction of a vector counts", "[store][vector]") {
  vector_index index(3);
  must(index.add(1, vector{1e-6f, 2e-6f, 0}));
  must(index.add(2, vector{3e6f, 0, 3e6f}));
  const auto found = must(index.search(vector{100, 200, 0}, 2));
  CHECK(found[0].entry == 1);
  CHECK(found[0].cosine == Approx(1).margin(1e-3));
  CHECK(found[1].cosine == Approx(1 / std::sqrt(10.0)).margin(5e-3));
}

TEST_CASE("rows are removed and replaced while the others stay", "[store][vector]") {
  std::mt19937 random(3);
  vector_index index(64);
  std::vector<vector> all;
  for (std::uint64_t i = 0; i < 100; ++i) {
    all.push_back(random_vector(random, 64));
    must(index.add(i, all.back()));
  }
  for (std::uint64_t i = 0; i < 100; i += 2)
    CHECK(index.remove(i));
  CHECK_FALSE(index.remove(0));
  CHECK_FALSE(index.contains(0));
  CHECK(index.contains(1));
  CHECK(index.size() == 50);
  must(index.add(1, all[0])); // replaced
  CHECK(index.size() == 50);
  CHECK(must(index.search(all[0], 1)).front().entry == 1);
  for (std::uint64_t i = 3; i < 100; i += 2)
    REQUIRE(must(index.search(all[i], 1)).front().entry == i);
  while (index.size() > 0)
    REQUIRE(index.remove(must(index.search(all[0], 1)).front().entry));
  CHECK(must(index.search(all[0], 5)).empty());
}

TEST_CASE("vectors that mean nothing are refused", "[store][vector]") {
  vector_index index(3);
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  const auto infinity = std::numeric_limits<float>::infinity();
  for (const auto& bad : {vector{}, vector{0, 0, 0}, vector{1, nan, 0}, vector{1, infinity, 0},
                          vector{-infinity, 0, 0}, vector{1, 0}, vector{1, 0, 0, 0}}) {
    CHECK(index.add(1, bad).code() == errc::invalid);
    CHECK(index.search(bad, 1).why().code() == errc::invalid);
  }
  CHECK(index.add(1, quantized_vector{0.1f, {0, 0, 0}}).code() == errc::invalid);
  CHECK(index.add(1, quantized_vector{0.1f, {1, 2}}).code() == errc::invalid);
  CHECK(quantize(vector(max_dimension + 1, 1)).why().code() == errc::invalid);
  CHECK(index.size() == 0);
}

TEST_CASE("the largest products do not overflow", "[store][vector]") {
  vector_index index(max_dimension);
  must(index.add(1, vector(max_dimension, 1)));
  must(index.add(2, vector(max_dimension, -1)));
  const auto found = must(index.search(vector(max_dimension, 5), 2));
  CHECK(found[0].entry == 1);
  CHECK(found[0].cosine == Approx(1));
  CHECK(found[1].cosine == Approx(-1));
}

TEST_CASE("quantizing rounds to the nearest of 255 steps", "[store][vector]") {
  const auto stored = must(quantize(vector{1, -1, 0.5f, 0.003f, 0.006f}));
  CHECK(stored.scale == Approx(1 / 127.0));
  CHECK(stored.values == std::vector<std::int8_t>{127, -127, 64, 0, 1});
}

TEST_CASE("the time of a search over 10,000 vectors of 384 is printed", "[store][vector][time]") {
  std::mt19937 random(4);
  vector_index index(384);
  for (std::uint64_t i = 0; i < 10'000; ++i)
    must(index.add(i, random_vector(random, 384)));
  const auto query = random_vector(random, 384);
  auto best = std::chrono::nanoseconds::max();
  for (int round = 0; round < 50; ++round) {
    const auto start = std::chrono::steady_clock::now();
    (void)must(index.search(query, 10));
    best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
  }
  std::printf("vector_index: 10,000 x 384, best of 50 searches: %.3f ms, %.1f MB\n",
              static_cast<double>(best.count()) / 1e6, static_cast<double>(index.bytes()) / 1e6);
  CHECK(must(index.search(query, 10)).size() == 10);
}
