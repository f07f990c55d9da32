// SPDX-License-Identifier: MIT
#include "actors/responder.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/pure_test_helpers.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// A batch of three items, opened.
struct batch_fixture : actor_fixture {
  responder_actor aut;
  job_maker maker;
  job parent;

  batch_fixture() {
    aut = spawned(system.spawn(responder, time, counters));
    auto all = neighbours();
    all.responder = aut;
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
    maker.what.is_batch = true;
    maker.what.trace = true;
    maker.what.mode = reply_mode::sync;
    maker.what.reply_to = {0, "peer", "r", false};
    maker.what.items.resize(3);
    for (int i = 0; i < 3; ++i)
      maker.what.items[static_cast<std::size_t>(i)].custom_id = "c" + std::to_string(i);
    maker.what.body = "body";
    maker.how.max_new_tokens = 1;
    parent = maker.make("", 99);
    parent.is_parent = true;
    parent.how = nullptr;
  }
  job child(std::uint8_t index) {
    auto out = maker.make("", static_cast<std::uint8_t>(index + 1));
    out.parent = parent.id;
    out.index = out.item = index;
    out.cache.status = cache_status::miss;
    return out;
  }
  void open() {
    tell(aut, open_atom_v, parent);
    for (std::uint8_t i = 0; i < 3; ++i)
      tell(aut, open_atom_v, child(i));
  }
  void compute(std::uint8_t index, const std::string& text) {
    tell(aut, started_atom_v, child(index), 0u);
    tell(aut, output{child(index).id, 0, {5}, text, 0});
    finished end;
    end.id = child(index).id;
    end.finish = finish_kind::length;
    end.n_tokens = 1;
    tell(aut, std::move(end));
  }
  void hit(std::uint8_t index, const std::string& text) {
    auto what = child(index);
    what.cache.status = cache_status::hit;
    auto found = std::make_shared<answer>();
    found->text = text;
    tell(aut, hit_atom_v, what, answer_ptr{found});
  }
  void fail(std::uint8_t index, const std::string& name) {
    failure why;
    why.name = name;
    tell(aut, failed_atom_v, child(index).id, why, std::vector<trace_entry>{});
  }
};

} // namespace

TEST_CASE_METHOD(batch_fixture, "hits, computed items and failures are merged in the items' order",
                 "[actors][responder]") {
  open();
  fail(2, "E_CTX");
  compute(1, "second");
  CHECK(told("r").ends == 0);
  hit(0, "first");
  const auto said = told("r");
  REQUIRE(said.ends == 1);
  REQUIRE(said.result());
  const auto& items = said.result()->items;
  REQUIRE(items.size() == 3);
  CHECK(items[0]->what->text == "first");
  CHECK(items[0]->cache.status == cache_status::hit);
  CHECK(items[1]->what->text == "second");
  CHECK(items[2]->error->name == "E_CTX");
  for (std::uint32_t i = 0; i < 3; ++i) {
    CHECK(items[i]->index == i);
    CHECK(items[i]->custom_id == "c" + std::to_string(i));
  }
  CHECK(said.result()->state == job_state::done);
  CHECK(said.released_jobs == 3);
  CHECK(said.released_bytes == 4);
  CHECK(said.result()->trace.back().decision ==
        "3 items merged in order: 1 from the cache, 1 computed, 1 failed");
  CHECK(ledger_in.count<ended_atom, job_end>() == 4);
}

TEST_CASE_METHOD(batch_fixture, "a batch is cancelled when all of its items were",
                 "[actors][responder]") {
  open();
  fail(0, "E_CANCELLED");
  fail(1, "E_CANCELLED");
  SECTION("all") {
    fail(2, "E_CANCELLED");
    CHECK(told("r").result()->state == job_state::cancelled);
  }
  SECTION("not all") {
    compute(2, "x");
    CHECK(told("r").result()->state == job_state::done);
  }
}

TEST_CASE_METHOD(batch_fixture, "a batch from the journal waits only for what had not ended",
                 "[actors][responder]") {
  parent.recovered = true;
  maker.what.durable = true;
  auto what = std::make_shared<request>(*parent.what);
  what->durable = true;
  parent.what = what;
  SECTION("one item is left") {
    parent.ended_items = {0, 2};
    tell(aut, open_atom_v, parent);
    CHECK(ledger_in.count<ended_atom, job_end>() == 0);
    auto last = child(1);
    last.recovered = true;
    tell(aut, open_atom_v, last);
    compute(1, "x");
  }
  SECTION("none is left: the daemon ended just before the batch did") {
    parent.ended_items = {0, 1, 2};
    tell(aut, open_atom_v, parent);
  }
  const auto [atom, end] = ledger_in.last<ended_atom, job_end>();
  CHECK(end.id == parent.id);
  CHECK(end.durable);
  CHECK_FALSE(end.has_reply);
}
