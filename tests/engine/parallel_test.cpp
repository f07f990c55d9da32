// SPDX-License-Identifier: MIT
#include "engine/parallel.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

using namespace bitnetd::engine;

TEST_CASE("shrinking runs are all items once, in order, and never shorter than asked",
          "[engine][parallel]") {
  const auto n = GENERATE(as<std::size_t>{}, 1, 2, 5, 40, 108, 2004, 100'003);
  const auto threads = GENERATE(as<std::size_t>{}, 1, 2, 3, 8, 64);
  const auto least = GENERATE(as<std::size_t>{}, 0, 1, 4, 1000);
  CAPTURE(n, threads, least);
  const shrinking_runs runs{n, threads, least};
  REQUIRE(runs.size() >= 1);
  std::size_t next = 0, before = n;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto [from, to] = runs[i];
    REQUIRE(from == next);
    REQUIRE(to > from);
    REQUIRE(to - from <= before);
    if (i + 1 < runs.size())
      REQUIRE(to - from >= least);
    next = to;
    before = to - from;
  }
  CHECK(next == n);
}

TEST_CASE("the first runs are long, the last ones short", "[engine][parallel]") {
  const shrinking_runs runs{40, 2, 1};
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < runs.size(); ++i)
    lengths.push_back(runs[i].second - runs[i].first);
  CHECK(lengths == std::vector<std::size_t>{15, 15, 3, 3, 1, 1, 1, 1});
}

TEST_CASE("work in runs is done once, whoever does it", "[engine][parallel]") {
  const auto threads = GENERATE(as<std::size_t>{}, 1, 3);
  const auto item_ns = GENERATE(as<std::size_t>{}, 1, 10'000); // shared or not
  compute_node node{node_description{}, threads};
  std::vector<std::atomic<int>> times(500);
  node.run([&] {
    for_runs(node, times.size(), item_ns, [&](std::size_t from, std::size_t to) {
      for (auto i = from; i < to; ++i)
        ++times[i];
    });
    for_runs(node, 0, item_ns, [&](std::size_t, std::size_t) { FAIL("nothing to do"); });
  });
  CHECK(std::ranges::all_of(times, [](const auto& n) { return n == 1; }));
}
