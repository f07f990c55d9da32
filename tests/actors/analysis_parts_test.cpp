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

namespace {

store::open_job waiting(std::uint8_t number, store::job_class cls = store::job_class::normal,
                        std::int64_t deadline_us = 0) {
  store::open_job out;
  out.id.bytes[15] = number;
  out.cls = cls;
  out.deadline_us = deadline_us;
  out.principal = "alice";
  return out;
}

std::vector<int> pop_all(release_queue& queue) {
  std::vector<int> out;
  while (const auto id = queue.pop())
    out.push_back(id->bytes[15]);
  return out;
}

const auto anything = [](const store::open_job&) { return true; };

} // namespace

TEST_CASE("waiting jobs go by class, then deadline, then arrival", "[actors][release_queue]") {
  release_queue queue;
  queue.fill({}, true, anything); // nothing waits on disk
  queue.push(waiting(1));
  queue.push(waiting(2, store::job_class::interactive));
  queue.push(waiting(3, store::job_class::normal, 50));
  queue.push(waiting(4, store::job_class::normal, 40));
  queue.push(waiting(5));
  CHECK(queue.remove(waiting(5)));
  CHECK_FALSE(queue.remove(waiting(5)));
  CHECK(pop_all(queue) == std::vector<int>{2, 4, 3, 1});
  CHECK_FALSE(queue.needs_page());
}

TEST_CASE("what sorts behind the window waits for its page, what sorts before it does not",
          "[actors][release_queue]") {
  release_queue queue;
  CHECK(queue.needs_page());
  queue.push(waiting(9)); // it is on disk: the page will have it
  CHECK(queue.size() == 0);
  const std::vector page{waiting(2), waiting(4), waiting(6)};
  queue.fill(page, false, [](const store::open_job& job) { return job.id.bytes[15] != 4; });
  CHECK(queue.edge()->id.bytes[15] == 6);
  queue.push(waiting(3));
  queue.push(waiting(8)); // behind the edge
  queue.push(waiting(4)); // it was on its way when the page was read
  CHECK(pop_all(queue) == std::vector<int>{2, 3, 4, 6});
  REQUIRE(queue.needs_page());
  const std::vector rest{waiting(8), waiting(9)};
  queue.fill(rest, true, anything);
  CHECK(pop_all(queue) == std::vector<int>{8, 9});
  CHECK_FALSE(queue.needs_page());
  queue.push(waiting(20)); // all of the disk is known: it stands here
  CHECK(pop_all(queue) == std::vector<int>{20});
}

TEST_CASE("the window gives back to the disk what is too much", "[actors][release_queue]") {
  release_queue queue{3};
  queue.fill({}, true, anything);
  for (const auto n : std::vector<std::uint8_t>{5, 1, 4, 2, 3})
    queue.push(waiting(n));
  CHECK(pop_all(queue) == std::vector<int>{1, 2, 3});
  REQUIRE(queue.needs_page());
  CHECK(queue.edge()->id.bytes[15] == 3);
}
