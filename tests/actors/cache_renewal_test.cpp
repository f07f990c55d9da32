// SPDX-License-Identifier: MIT
#include "tests/actors/cache_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

struct renewal_fixture : cache_fixture {
  /// Keeps an answer that has expired 5 s ago.
  renewal_fixture() {
    maker.what.cache.ttl = seconds{10};
    maker.what.durable = true;
    learn("question", "old");
    pass(seconds{15});
    batcher_in.forget();
    responder_in.forget();
  }
  [[nodiscard]] std::vector<job> computing() const {
    std::vector<job> out;
    for (const auto& [atom, what] : batcher_in.all<compute_atom, job>())
      out.push_back(what);
    return out;
  }
  nlohmann::json stats() { return nlohmann::json::parse(question<std::string>(aut, stats_atom_v)); }
};

} // namespace

TEST_CASE_METHOD(renewal_fixture, "an expired answer is served once more and renewed behind that",
                 "[actors][cache]") {
  maker.what.cache.stale_while_revalidate = seconds{60};
  const auto id = look("question");
  REQUIRE(hit(id));
  CHECK(hit(id)->second == "old");
  CHECK(hit(id)->first.cache.status == cache_status::stale);

  REQUIRE(computing().size() == 1);
  const auto renewal = computing()[0];
  CHECK(renewal.id != id);
  CHECK(renewal.how->cls == job_class::background);
  CHECK(renewal.recovered); // nobody is told
  CHECK_FALSE(renewal.what->durable);
  CHECK(renewal.words().text == "question");
  const auto opened = responder_in.all<open_atom, job>();
  REQUIRE(opened.size() == 1);
  CHECK(std::get<1>(opened[0]).id == renewal.id);

  REQUIRE(hit(look("question"))); // one renewal at a time
  CHECK(computing().size() == 1);
  settle(renewal.id, "new");
  const auto after = look("question");
  CHECK(answer_of(after) == "new");
  CHECK(hit(after)->first.cache.status == cache_status::hit);
  CHECK(stats()["renewed_other"] == 1);
  CHECK(stats()["renewed_same"] == 0);
}

TEST_CASE_METHOD(renewal_fixture, "a renewal that comes to the same is counted as that",
                 "[actors][cache]") {
  maker.what.cache.stale_while_revalidate = seconds{60};
  look("question");
  settle(computing().at(0).id, "old");
  CHECK(stats()["renewed_same"] == 1);
}

TEST_CASE_METHOD(renewal_fixture, "the profile may ask for it, and a client for more",
                 "[actors][cache]") {
  SECTION("nobody asks: computed anew, for the asker") {
    const auto id = look("question");
    CHECK_FALSE(hit(id));
    CHECK(computes(id));
  }
  SECTION("the profile asks") {
    config->profile.cache.stale_while_revalidate = seconds{60};
    reconfigure();
    CHECK(hit(look("question")));
    CHECK(computing().size() == 1);
  }
  SECTION("a client cannot ask for less than the profile") {
    config->profile.cache.stale_while_revalidate = seconds{60};
    maker.what.cache.stale_while_revalidate = seconds{1};
    reconfigure();
    CHECK(hit(look("question")));
  }
  SECTION("too long ago") {
    maker.what.cache.stale_while_revalidate = seconds{4};
    CHECK_FALSE(hit(look("question")));
  }
  SECTION("max-stale alone renews nothing") {
    maker.what.cache.max_stale = seconds{60};
    CHECK(hit(look("question")));
    CHECK(computing().empty());
  }
  SECTION("no-store renews nothing") {
    maker.what.cache.stale_while_revalidate = seconds{60};
    maker.what.cache.no_store = true;
    CHECK(hit(look("question")));
    CHECK(computing().empty());
  }
}

TEST_CASE_METHOD(renewal_fixture, "a renewal that fails leaves the old answer as it was",
                 "[actors][cache]") {
  maker.what.cache.stale_while_revalidate = seconds{60};
  look("question");
  settle_without(computing().at(0).id);
  CHECK(answer_of(look("question")) == "old");
  CHECK(computing().size() == 2); // tried again with the next one who asks
}
