// SPDX-License-Identifier: MIT
#include "store/answers_db.h"
#include "tests/store/store_support.h"
#include "tests/support/scratch_folder.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::store;

namespace {

constexpr std::int64_t start_us = 1'700'000'000'000'000, day_us = 86'400'000'000;

cache_entry entry_of(answers_db& answers, const std::string& who, int number,
                     std::size_t answer_bytes = 1000) {
  cache_entry out;
  out.id = *answers.next_id();
  out.owner = hash_bytes(who);
  out.partition = hash_bytes("partition of " + who);
  out.canonical = out.prompt = "question " + std::to_string(number);
  out.key = hash_bytes(out.canonical);
  out.answer.text = std::string(answer_bytes, 'x');
  out.answer.finish_reason = "stop";
  out.created_us = out.last_used_us = start_us;
  out.expires_us = start_us + day_us;
  out.cost_ms = 100;
  return out;
}

/// Stores `n` entries; returns their ids.
std::vector<std::uint64_t> fill(answers_db& answers, const std::string& who, int n,
                                std::size_t answer_bytes = 1000) {
  std::vector<cache_entry> all;
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < n; ++i) {
    all.push_back(entry_of(answers, who, i, answer_bytes));
    ids.push_back(all.back().id);
  }
  REQUIRE(answers.put(all).why().ok());
  return ids;
}

std::size_t n_left(const answers_db& answers, const std::vector<std::uint64_t>& ids) {
  return static_cast<std::size_t>(
      std::ranges::count_if(ids, [&](auto id) { return answers.get(id).why().ok(); }));
}

/// What owners hold comes to the totals, now and after it is counted anew.
void check_sums(const answers_db& answers) {
  std::uint64_t sum = 0;
  for (const char* who : {"small", "large", "third"})
    sum += answers.bytes_of(hash_bytes(who));
  CHECK(sum == answers.totals().bytes);
  CHECK(answers.recount()->bytes == answers.totals().bytes);
}

} // namespace

TEST_CASE("whoever holds more than the share loses entries first", "[store][answers]") {
  const tests::scratch_folder folder;
  answers_db answers(folder.path());
  const auto small = fill(answers, "small", 20);
  const auto large = fill(answers, "large", 200);
  check_sums(answers);
  // Most of the small one's entries are worth less to everybody: never used, long ago.
  std::vector<cache_touch> touches;
  for (const auto id : large)
    touches.push_back({id, 50, start_us + day_us / 2});
  REQUIRE(answers.touch(touches).ok());
  const auto budget = answers.totals().bytes / 2;
  const auto gone = answers.evict_to(budget, start_us + day_us / 2, 0.5);
  REQUIRE(gone.why().ok());
  CHECK(answers.totals().bytes <= budget);
  CHECK(n_left(answers, small) == 20);
  CHECK(n_left(answers, large) == 200 - gone->size());
  check_sums(answers);
}

TEST_CASE("a share of one lets a single owner fill everything", "[store][answers]") {
  const tests::scratch_folder folder;
  answers_db answers(folder.path());
  const auto all = fill(answers, "large", 100);
  const auto budget = answers.totals().bytes;
  CHECK(answers.evict_to(budget, start_us, 1)->empty());
  CHECK(answers.evict_to(budget, start_us, 0.01)->empty()); // a share counts when it is full
  CHECK(n_left(answers, all) == 100);
}

TEST_CASE("within their shares the worst of all go", "[store][answers]") {
  const tests::scratch_folder folder;
  answers_db answers(folder.path());
  fill(answers, "small", 60);
  fill(answers, "large", 60);
  fill(answers, "third", 60);
  const auto budget = answers.totals().bytes * 9 / 10;
  REQUIRE(answers.evict_to(budget, start_us, 0.5).why().ok());
  CHECK(answers.totals().bytes <= budget);
  check_sums(answers);
}

TEST_CASE("shares are known again after a restart", "[store][answers]") {
  const tests::scratch_folder folder;
  std::uint64_t small = 0, large = 0;
  {
    answers_db answers(folder.path());
    fill(answers, "small", 5);
    const auto ids = fill(answers, "large", 50);
    REQUIRE(answers.erase(std::span(ids).first(10)).why().ok());
    small = answers.bytes_of(hash_bytes("small"));
    large = answers.bytes_of(hash_bytes("large"));
    CHECK(small > 0);
    CHECK(large > 7 * small);
  }
  answers_db again(folder.path());
  CHECK(again.bytes_of(hash_bytes("small")) == small);
  CHECK(again.bytes_of(hash_bytes("large")) == large);
  CHECK(again.bytes_of(hash_bytes("nobody")) == 0);
}

TEST_CASE("a pinned entry neither expires nor is evicted, until it is unpinned",
          "[store][answers]") {
  const tests::scratch_folder folder;
  std::vector<std::uint64_t> all;
  {
    answers_db answers(folder.path());
    all = fill(answers, "large", 50);
    const auto bytes = answers.totals().bytes;
    REQUIRE(answers.set_expiry(all[7], pinned_us).ok());
    CHECK(answers.set_expiry(1, pinned_us).code() == errc::not_found);
    CHECK(answers.set_expiry(all[8], start_us - 1).code() == errc::invalid);
    CHECK(answers.totals().bytes == bytes);
    CHECK(answers.recount()->bytes == bytes);
  }
  answers_db answers(folder.path());
  CHECK(answers.get(all[7])->expires_us == pinned_us);
  REQUIRE(answers.evict_to(0, start_us).why().ok());
  CHECK(n_left(answers, all) == 1);
  CHECK(answers.expire(start_us + 1000 * day_us, 1000)->empty());
  REQUIRE(answers.set_expiry(all[7], start_us + day_us).ok());
  CHECK(answers.expire(start_us + 2 * day_us, 1000)->size() == 1);
  CHECK(answers.totals() == answer_totals{});
}

TEST_CASE("where an owner above the share has pinned everything, others give way",
          "[store][answers]") {
  const tests::scratch_folder folder;
  answers_db answers(folder.path());
  for (const auto id : fill(answers, "large", 20))
    REQUIRE(answers.set_expiry(id, pinned_us).ok());
  const auto small = fill(answers, "small", 10);
  const auto pinned = answers.bytes_of(hash_bytes("large"));
  REQUIRE(answers.evict_to(pinned, start_us, 0.1).why().ok());
  CHECK(n_left(answers, small) == 0);
  CHECK(answers.totals().bytes == pinned);
}

TEST_CASE("what was learned comes back, and goes with its entry", "[store][answers]") {
  const tests::scratch_folder folder;
  const auto read = [](const answers_db& answers) {
    std::map<std::pair<std::uint64_t, std::string>, std::string> out;
    REQUIRE(answers
                .for_each_learned([&](const learned_row& row) {
                  out[{row.entry, row.name}] = row.bytes;
                  return true;
                })
                .ok());
    return out;
  };
  std::vector<std::uint64_t> ids;
  {
    answers_db answers(folder.path());
    ids = fill(answers, "small", 2);
    const std::vector<learned_row> rows{{0, std::string("a\0b", 3), "rule"},
                                        {0, "other", "first"},
                                        {ids[0], "", "seen"},
                                        {ids[1], "", "seen too"},
                                        {ids[1] + 1, "", "of an entry that is not there"}};
    REQUIRE(answers.learn(rows).ok());
    REQUIRE(answers.learn(std::vector<learned_row>{{0, "other", "second"}}).ok());
    CHECK(answers.learn(std::vector<learned_row>{{0, "x", std::string(max_learned_bytes + 1, 'x')}})
              .code() == errc::invalid);
  }
  answers_db answers(folder.path());
  CHECK(read(answers) == std::map<std::pair<std::uint64_t, std::string>, std::string>{
                             {{0, std::string("a\0b", 3)}, "rule"},
                             {{0, "other"}, "second"},
                             {{ids[0], ""}, "seen"},
                             {{ids[1], ""}, "seen too"}});
  REQUIRE(answers.erase(std::span(ids).first(1)).why().ok());
  CHECK(read(answers).size() == 3);
  CHECK_FALSE(read(answers).contains({ids[0], ""}));
}
