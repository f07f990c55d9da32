// SPDX-License-Identifier: MIT
#include "store/eviction.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace bitnetd::store;

namespace {

constexpr std::int64_t now = 1'000'000'000'000'000;
constexpr std::int64_t day = 86'400'000'000;

eviction_candidate plain(std::uint64_t entry) { return {entry, now + day, now, 0, 1000, 2000}; }

} // namespace

TEST_CASE("an entry is worth the milliseconds it will save per byte", "[store][eviction]") {
  CHECK(keep_value(plain(1), now) == Approx(0.5)); // 1 use * 1000 ms / 2000 bytes
  auto hit = plain(1);
  hit.hits = 3;
  CHECK(keep_value(hit, now) == Approx(2.0));
  auto slow = plain(1);
  slow.cost_ms = 4000;
  CHECK(keep_value(slow, now) == Approx(2.0));
  auto large = plain(1);
  large.bytes = 4000;
  CHECK(keep_value(large, now) == Approx(0.25));
  auto idle = plain(1);
  idle.last_used_us = now - day;
  CHECK(keep_value(idle, now) == Approx(0.25));
  auto of_the_future = plain(1); // the clock was set back
  of_the_future.last_used_us = now + 10 * day;
  CHECK(keep_value(of_the_future, now) == Approx(0.5));
  auto expired = hit;
  expired.expires_us = now;
  CHECK(keep_value(expired, now) == 0);
}

TEST_CASE("the victim is the expired one, then the least valuable, then the first to expire",
          "[store][eviction]") {
  std::vector<eviction_candidate> all = {plain(5), plain(4), plain(3)};
  CHECK(pick_victim(all, now) == 2); // all equal: the least entry
  all[0].expires_us = now + 1;
  CHECK(pick_victim(all, now) == 0); // expires first
  all[1].cost_ms = 10;
  CHECK(pick_victim(all, now) == 1); // saves least
  all[2].expires_us = now - 1;
  all[2].hits = 1000;
  CHECK(pick_victim(all, now) == 2); // expired
}
