// SPDX-License-Identifier: MIT
#include "actors/release_queue.h"
#include "actors/similarity.h"
#include "actors/token_memo.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <set>

using namespace bitnetd;
using namespace bitnetd::actors;

namespace {

using tokens = std::vector<engine::token_id>;

double true_jaccard(const tokens& a, const tokens& b) {
  const auto shingles = [](const tokens& t) {
    std::set<tokens> out;
    for (std::size_t i = 0; i + 3 <= t.size(); ++i)
      out.insert({t[i], t[i + 1], t[i + 2]});
    return out;
  };
  const auto x = shingles(a), y = shingles(b);
  std::size_t both = 0;
  for (const auto& s : x)
    both += y.contains(s);
  return static_cast<double>(both) / static_cast<double>(x.size() + y.size() - both);
}

} // namespace

TEST_CASE("batch similarity estimates the true overlap of near copies", "[actors][analysis]") {
  std::mt19937 random{11};
  double error = 0;
  for (int round = 0; round < 40; ++round) {
    tokens a(120);
    for (auto& t : a)
      t = static_cast<engine::token_id>(random() % 5000);
    auto b = a;
    for (int i = 0; i < 4; ++i)
      b[random() % b.size()] = 9999;
    tokens other(120);
    for (auto& t : other)
      t = static_cast<engine::token_id>(random() % 5000);
    const std::vector<tokens> items{a, other, b};
    const auto similarity = batch_similarity(items);
    error += std::abs(similarity[0] - true_jaccard(a, b)) / 40;
    CHECK(similarity[0] == similarity[2]);
    CHECK(similarity[1] < 0.2);
  }
  CHECK(error < 0.15); // 16 hashes: standard error about 0.1
}

TEST_CASE("identical items are alike, a lone or empty one is not", "[actors][analysis]") {
  const std::vector<tokens> same{{1, 2, 3, 4}, {1, 2, 3, 4}};
  CHECK(batch_similarity(same) == std::vector<double>{1, 1});
  const std::vector<tokens> lone{{1, 2, 3, 4}};
  CHECK(batch_similarity(lone) == std::vector<double>{0});
  const std::vector<tokens> empty{{}, {}};
  CHECK(batch_similarity(empty) == std::vector<double>{0, 0});
}

TEST_CASE("prompts of one template share a skeleton", "[actors][analysis]") {
  CHECK(skeleton_of("Add 12 and 7.5 for \"Ann\"") == skeleton_of("Add 3 and 100 for \"Bob\""));
  CHECK(skeleton_of("Run `ls -l`") == skeleton_of("Run `rm x`"));
  CHECK(skeleton_of("Add 12 and 7") != skeleton_of("Subtract 12 and 7"));
  CHECK(skeleton_of("it's \"open") != skeleton_of("it's \"shut")); // no closing quote: words count
}

TEST_CASE("the memo gives back what was put, and stays within its bytes", "[actors][analysis]") {
  token_memo memo{20000};
  for (int i = 0; i < 1000; ++i) {
    const auto key = "prompt " + std::to_string(i);
    memo.put(key, tokens(10, i));
    REQUIRE(memo.bytes() <= 20000);
    REQUIRE(memo.find(key) != nullptr);
    REQUIRE(*memo.find(key) == tokens(10, i));
  }
  CHECK(memo.find("prompt 0") == nullptr);
  CHECK(memo.find("prompt 999") != nullptr);
  memo.put("huge", tokens(100000, 1)); // larger than all: it is not kept, and nothing breaks
  CHECK(memo.bytes() <= 20000);
}

TEST_CASE("what was used lately is kept longest", "[actors][analysis]") {
  token_memo memo{3000};
  memo.put("a", tokens(10, 1));
  for (int i = 0; i < 100; ++i) {
    memo.put("x" + std::to_string(i), tokens(10, i));
    REQUIRE(memo.find("a") != nullptr);
  }
}

TEST_CASE("the release queue goes by class, deadline and age; sleepers wait for their time",
          "[actors][ledger]") {
  release_queue queue;
  const auto id = [](std::uint8_t n) {
    store::job_id out;
    out.bytes[15] = n;
    return out;
  };
  using store::job_class;
  queue.push({id(1), job_class::batch, 0, 0}, 100);
  queue.push({id(2), job_class::normal, 0, 0}, 100);
  queue.push({id(3), job_class::normal, 900, 0}, 100);
  queue.push({id(4), job_class::interactive, 0, 500}, 100); // sleeps
  queue.push({id(5), job_class::normal, 0, 0}, 100);
  CHECK(queue.pop() == id(3));
  CHECK(queue.wake(499).empty());
  CHECK(queue.wake(500) == std::vector{id(4)});
  CHECK(queue.pop() == id(4));
  CHECK(queue.remove(id(2)));
  CHECK(queue.pop() == id(5));
  CHECK(queue.pop() == id(1));
  CHECK_FALSE(queue.pop());
  queue.push({id(6), job_class::normal, 700, 0}, 100);
  queue.push({id(7), job_class::normal, 700, 9000}, 100); // would expire asleep
  CHECK(queue.take_expired(700).size() == 2);
  CHECK(queue.size() == 0);
}
