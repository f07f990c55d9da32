// SPDX-License-Identifier: MIT
#include "tests/actors/cache_fixture.h"

#include <catch2/catch.hpp>

#include <functional>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

struct flush_fixture : cache_fixture {
  /// What an administrator's flush is answered with.
  void flush(const std::function<void(cache_order&)>& scope) {
    admin_request asked;
    asked.principal = "root";
    asked.cache.what = cache_order::action::flush;
    scope(asked.cache);
    tell(aut, admin_atom_v, asked);
    const auto [told] = outbox.last<reply>();
    CHECK(std::holds_alternative<reply_document>(told.what));
  }
  reply order(cache_order::action what, std::uint64_t entry) {
    admin_request asked;
    asked.principal = "root";
    asked.cache.what = what;
    asked.cache.entry = entry;
    tell(aut, admin_atom_v, asked);
    return std::get<0>(outbox.last<reply>());
  }
};

} // namespace

TEST_CASE_METHOD(flush_fixture, "a flush takes what it names and nothing else, also over a restart",
                 "[actors][cache]") {
  maker.what.cache.tags = {"prices"};
  learn("tagged", "1");
  maker.what.cache.tags.clear();
  maker.what.cache.name_space = "x";
  learn("in namespace x", "2");
  maker.what.cache.name_space.clear();
  learn("plain", "3");
  maker.what.principal = "bob";
  learn("bob's", "4");

  const bool restarted = GENERATE(false, true); // before the sections: Catch2 wants that
  bool tagged = true, spaced = true, plain = true, bobs = true;
  SECTION("a tag") {
    flush([](cache_order& o) { o.principal = "alice", o.tag = "prices"; });
    tagged = false;
  }
  SECTION("the same tag of another") {
    flush([](cache_order& o) { o.principal = "bob", o.tag = "prices"; });
  }
  SECTION("a namespace") {
    flush([](cache_order& o) { o.principal = "alice", o.name_space = "x"; });
    spaced = false;
  }
  SECTION("a tenant") {
    flush([](cache_order& o) { o.principal = "alice"; });
    tagged = spaced = plain = false;
  }
  SECTION("a model") {
    flush([](cache_order& o) { o.model = "m"; });
    tagged = spaced = plain = bobs = false;
  }
  SECTION("another model") {
    flush([](cache_order& o) { o.model = "n"; });
  }
  SECTION("everything") {
    flush([](cache_order&) {});
    tagged = spaced = plain = bobs = false;
  }
  if (restarted)
    restart();
  CHECK(answers->totals().entries ==
        std::size_t{tagged} + std::size_t{spaced} + std::size_t{plain} + std::size_t{bobs});
  CHECK(hit(look("bob's")).has_value() == bobs);
  maker.what.principal = "alice";
  CHECK(hit(look("tagged")).has_value() == tagged);
  CHECK(hit(look("plain")).has_value() == plain);
  maker.what.cache.name_space = "x";
  CHECK(hit(look("in namespace x")).has_value() == spaced);
}

TEST_CASE_METHOD(flush_fixture, "what was being computed when all was flushed is not kept",
                 "[actors][cache]") {
  const auto id = look("question");
  flush([](cache_order&) {});
  settle(id, "from before");
  CHECK(computes(look("question")));
  CHECK(answers->totals().entries == 0);
  learn("later", "kept");
  CHECK(answer_of(look("later")) == "kept");
}

TEST_CASE_METHOD(flush_fixture, "an administrator looks at an entry and deletes it",
                 "[actors][cache]") {
  learn("question", "the answer");
  const auto id = hit(look("question"))->first.cache.entry;
  admin_request asked;
  asked.cache.entry = id;
  tell(aut, admin_atom_v, asked);
  const auto [told] = outbox.last<reply>();
  const auto& document = std::get<reply_document>(told.what);
  CHECK(document.type == "entry");
  CHECK(nlohmann::json::parse(document.body)["text"] == "the answer");
  asked.cache.what = cache_order::action::del;
  tell(aut, admin_atom_v, asked);
  CHECK(computes(look("question")));
  tell(aut, admin_atom_v, asked); // no such entry any more
  const auto [again] = outbox.last<reply>();
  CHECK(std::get<reply_error>(again.what).why.name == "E_FIELD");
}

TEST_CASE_METHOD(flush_fixture, "an expired answer is given to those who take stale ones",
                 "[actors][cache]") {
  maker.what.cache.ttl = seconds{10};
  learn("question", "old");
  maker.what.cache.ttl.reset();
  pass(seconds{15});
  CHECK(computes(look("question")));
  maker.what.cache.max_stale = seconds{60};
  maker.what.cache.no_store = true;
  const auto id = look("question");
  REQUIRE(hit(id));
  CHECK(hit(id)->first.cache.status == cache_status::stale);
  CHECK(*hit(id)->first.cache.ttl_s < 0);
  pass(seconds{60});
  CHECK_FALSE(hit(look("question")));
}

TEST_CASE_METHOD(flush_fixture, "a pinned answer stays until it is unpinned, and over a restart",
                 "[actors][cache]") {
  using action = cache_order::action;
  config->profile.cache.ttl = seconds{100};
  reconfigure();
  learn("question", "the answer");
  const auto entry = hit(look("question"))->first.cache.entry;
  CHECK(std::holds_alternative<reply_document>(order(action::pin, entry).what));
  CHECK(std::holds_alternative<reply_error>(order(action::pin, entry + 1000).what));
  pass(std::chrono::hours{48});
  restart();
  const auto id = look("question");
  REQUIRE(hit(id));
  CHECK(hit(id)->first.cache.status == cache_status::hit);
  CHECK_FALSE(hit(id)->first.cache.ttl_s);
  const auto told = order(action::get, entry);
  const auto document = nlohmann::json::parse(std::get<reply_document>(told.what).body);
  CHECK(document["pinned"] == true);
  CHECK_FALSE(document.contains("expires_us"));

  order(action::unpin, entry);
  pass(seconds{99});
  CHECK(hit(look("question")));
  pass(seconds{2});
  CHECK(computes(look("question")));
  CHECK(std::holds_alternative<reply_error>(order(action::pin, entry).what)); // too late
}

TEST_CASE_METHOD(flush_fixture, "a flush takes pinned answers too", "[actors][cache]") {
  learn("question", "the answer");
  order(cache_order::action::pin, hit(look("question"))->first.cache.entry);
  flush([](cache_order&) {});
  CHECK(computes(look("question")));
  CHECK(answers->totals().entries == 0);
}
