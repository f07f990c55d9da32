// SPDX-License-Identifier: MIT
#include "actors/single_flight.h"
#include "pure_test_helpers.h"

#include <catch2/catch.hpp>

using namespace bitnetd::actors;
using bitnetd::actors::testing::job_maker;

namespace {

struct flights {
  single_flight table;
  job_maker maker;
  single_flight::flight_key key{{}, {}, "q", 32};

  job number(std::uint8_t n) { return maker.make("q", n); }
};

} // namespace

TEST_CASE_METHOD(flights, "followers of a leader land in order of arrival", "[actors][cache]") {
  table.lead(key, number(1).id);
  CHECK(table.leader(key) == number(1).id);
  table.follow(key, number(2));
  table.follow(key, number(3));
  const auto landed = table.land(number(1).id);
  REQUIRE(landed.size() == 2);
  CHECK(landed[0].id == number(2).id);
  CHECK(landed[1].id == number(3).id);
  CHECK(table.size() == 0);
  CHECK_FALSE(table.leader(key));
  CHECK(table.land(number(1).id).empty());
}

TEST_CASE_METHOD(flights, "a leader that fails makes way for the first follower, not for nobody",
                 "[actors][cache]") {
  table.lead(key, number(1).id);
  table.follow(key, number(2));
  table.follow(key, number(3));
  const auto next = table.promote(number(1).id);
  REQUIRE(next);
  CHECK(next->id == number(2).id);
  CHECK(table.leader(key) == number(2).id);
  CHECK(table.land(number(2).id).size() == 1);
}

TEST_CASE_METHOD(flights, "a leader that fails alone leaves nothing behind", "[actors][cache]") {
  table.lead(key, number(1).id);
  CHECK_FALSE(table.promote(number(1).id));
  CHECK(table.size() == 0);
}

TEST_CASE_METHOD(flights, "a follower may leave; the others stay", "[actors][cache]") {
  table.lead(key, number(1).id);
  table.follow(key, number(2));
  table.follow(key, number(3));
  CHECK(table.leave(number(2).id)->id == number(2).id);
  CHECK_FALSE(table.leave(number(2).id));
  CHECK_FALSE(table.leave(number(1).id)); // the leader does not wait
  CHECK(table.land(number(1).id).size() == 1);
}

TEST_CASE_METHOD(flights, "another length is another computation", "[actors][cache]") {
  table.lead(key, number(1).id);
  auto longer = key;
  longer.max_new_tokens = 64;
  CHECK_FALSE(table.leader(longer));
}
