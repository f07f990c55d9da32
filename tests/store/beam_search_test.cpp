// SPDX-License-Identifier: MIT
#include "store/beam_search.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <span>
#include <vector>

using namespace bitnetd::store;

namespace {

/// Points on a line, each linked with some drawn at random and the next, so that all can be
/// reached.
struct random_graph {
  std::vector<float> at;
  std::vector<std::vector<std::uint32_t>> linked;
  std::vector<bool> seen;
  std::set<std::uint32_t> fetched, measured;
  float asked = 0;
  bool sound = true; ///< each is visited, fetched and measured once, in this order

  random_graph(std::size_t n, std::mt19937_64& random) : at(n), linked(n), seen(n) {
    std::uniform_real_distribution<float> place(0, 1000);
    for (auto& x : at)
      x = place(random);
    for (std::uint32_t i = 0; i < n; ++i) {
      linked[i].push_back(static_cast<std::uint32_t>((i + 1) % n));
      for (int k = 0; k < 6; ++k)
        linked[i].push_back(static_cast<std::uint32_t>(random() % n));
    }
    asked = place(random);
  }
  [[nodiscard]] float truth(std::uint32_t node) const { return std::abs(at[node] - asked); }

  [[nodiscard]] std::span<const std::uint32_t> links(std::uint32_t node) const {
    return linked[node];
  }
  bool first_visit(std::uint32_t node) {
    const bool first = !seen[node];
    seen[node] = true;
    return first;
  }
  void fetch(std::uint32_t node) { sound = sound && seen[node] && fetched.insert(node).second; }
  float distance(std::uint32_t node) {
    sound = sound && fetched.contains(node) && measured.insert(node).second;
    return truth(node);
  }
};

} // namespace

TEST_CASE("a beam as wide as the graph finds the order of all nodes", "[store][segment]") {
  std::mt19937_64 random{5};
  for (const std::size_t n : {1, 2, 3, 40, 500}) {
    random_graph graph(n, random);
    auto found = beam_search(graph, std::array{0u}, n);
    std::ranges::sort(found);
    REQUIRE(found.size() == n);
    CHECK(graph.sound);
    CHECK(graph.measured.size() == n);
    std::vector<float> expected, got;
    for (std::uint32_t i = 0; i < n; ++i)
      expected.push_back(graph.truth(i));
    for (const auto& one : found) {
      got.push_back(one.distance);
      CHECK(one.distance == graph.truth(one.node));
    }
    std::ranges::sort(expected);
    CHECK(got == expected);
  }
}

TEST_CASE("a narrow beam keeps the nearest of what it met, and meets a part", "[store][segment]") {
  std::mt19937_64 random{6};
  std::size_t met = 0;
  for (int i = 0; i < 50; ++i) {
    random_graph graph(2000, random);
    auto found = beam_search(graph, std::array{static_cast<std::uint32_t>(random() % 2000)}, 12);
    std::ranges::sort(found);
    REQUIRE(found.size() == 12);
    CHECK(graph.sound);
    std::vector<float> nearest;
    for (const auto node : graph.measured)
      nearest.push_back(graph.truth(node));
    std::ranges::sort(nearest);
    for (std::size_t k = 0; k < found.size(); ++k)
      CHECK(found[k].distance == nearest[k]);
    met += graph.measured.size();
  }
  CHECK(met < 50 * 1000);
}
