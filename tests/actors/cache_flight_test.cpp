// SPDX-License-Identifier: MIT
#include "tests/actors/cache_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

TEST_CASE_METHOD(cache_fixture, "many copies of one question share one computation",
                 "[actors][cache]") {
  std::vector<job_id> ids;
  for (int i = 0; i < 10; ++i)
    ids.push_back(look("question"));
  CHECK(batcher_in.count<compute_atom, job>() == 1);
  settle(ids[0], "the answer");
  for (std::size_t i = 1; i < ids.size(); ++i) {
    REQUIRE(hit(ids[i]));
    CHECK(hit(ids[i])->second == "the answer");
    CHECK(hit(ids[i])->first.cache.status == cache_status::coalesced);
    CHECK(hit(ids[i])->first.cache.saved_ms == 40);
  }
  CHECK_FALSE(hit(ids[0]));
  CHECK(answers->totals().entries == 1);
  CHECK(metric("bitnetd_cache_lookups_total{result=\"coalesced\",tier=\"inflight\"}") == 9);
}

TEST_CASE_METHOD(cache_fixture, "when the first fails or is cancelled the next one computes",
                 "[actors][cache]") {
  const auto first = look("question"), second = look("question"), third = look("question");
  settle_without(first);
  REQUIRE(computes(second));
  CHECK(computed(second).cache.status == cache_status::miss);
  CHECK_FALSE(computes(third));
  settle(second, "the answer");
  CHECK(answer_of(third) == "the answer");
  CHECK(answer_of(look("question")) == "the answer");
}

TEST_CASE_METHOD(cache_fixture, "a follower that computes after all keeps to its own directives",
                 "[actors][cache]") {
  const auto first = look("question");
  maker.what.cache.no_store = true;
  const auto second = look("question");
  settle_without(first);
  REQUIRE(computes(second));
  settle(second, "private");
  maker.what.cache.no_store = false;
  CHECK(computes(look("question")));
  CHECK(answers->totals().entries == 0);
}

TEST_CASE_METHOD(cache_fixture, "a follower that is cancelled leaves the others alone",
                 "[actors][cache]") {
  const auto first = look("question"), second = look("question"), third = look("question");
  tell(aut, cancel_atom_v, second);
  CHECK(failed(second) == "E_CANCELLED");
  CHECK(batcher_in.count<cancel_atom, job_id>() == 0);
  settle(first, "the answer");
  CHECK(answer_of(third) == "the answer");
  CHECK_FALSE(hit(second));
}

TEST_CASE_METHOD(cache_fixture, "the cancel of a job that computes goes on to the batcher",
                 "[actors][cache]") {
  const auto first = look("question");
  tell(aut, cancel_atom_v, first);
  CHECK(std::get<1>(batcher_in.last<cancel_atom, job_id>()) == first);
}

TEST_CASE_METHOD(cache_fixture, "no-cache does not wait for another's computation",
                 "[actors][cache]") {
  const auto first = look("question");
  maker.what.cache.no_cache = true;
  const auto second = look("question");
  CHECK(computes(second));
  settle(second, "newer");
  settle(first, "older");
  CHECK(answers->totals().entries == 1);
}

TEST_CASE_METHOD(cache_fixture, "jobs that ask for different lengths do not share a computation",
                 "[actors][cache]") {
  (void)look("question");
  maker.how.max_new_tokens = 16;
  CHECK(computes(look("question")));
}
