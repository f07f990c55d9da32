// SPDX-License-Identifier: MIT
#include "actors/responder.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/pure_test_helpers.h"

#include <catch2/catch.hpp>

#include <random>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

struct responder_fixture : actor_fixture {
  responder_actor aut;
  job_maker maker;

  responder_fixture() {
    aut = spawned(system.spawn(responder, time, counters));
    auto all = neighbours();
    all.responder = aut;
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
    maker.what.reply_to.peer = "peer";
    maker.what.reply_to.tag = "r";
    maker.what.body = "0123456789";
    maker.what.mode = reply_mode::sync;
    maker.how.max_new_tokens = 3;
    maker.what.arrived = time->mono();
  }
  /// Opens a job and lets worker 0 start it.
  job_id begin(std::uint8_t number = 1, bool started = true) {
    auto what = maker.make("a", number);
    what.cache.status = cache_status::miss;
    tell(aut, open_atom_v, what);
    if (started)
      tell(aut, started_atom_v, what, 0u);
    return what.id;
  }
  void piece(const job_id& id, std::uint32_t first, std::vector<engine::token_id> tokens,
             std::string text, double logprob = -0.5) {
    tell(aut, output{id, first, std::move(tokens), std::move(text), logprob});
  }
  void finish(const job_id& id, finish_kind how = finish_kind::length, std::uint32_t n = 3) {
    finished end;
    end.id = id;
    end.finish = how;
    end.n_tokens = n;
    tell(aut, std::move(end));
  }
  [[nodiscard]] std::vector<job_end> ends() const {
    std::vector<job_end> out;
    for (const auto& [atom, end] : ledger_in.all<ended_atom, job_end>())
      out.push_back(end);
    return out;
  }
  [[nodiscard]] bool kept() const {
    return std::get<3>(cache_in.last<settled_atom, job_id, answer_ptr, bool>());
  }
};

} // namespace

TEST_CASE_METHOD(responder_fixture, "a computed answer ends its job once, released and kept",
                 "[actors][responder]") {
  const auto id = begin();
  piece(id, 0, {7, 8}, "Hello");
  piece(id, 2, {9}, " you");
  finish(id);
  const auto said = told("r");
  CHECK(said.ends == 1);
  REQUIRE(said.result());
  CHECK(said.text() == "Hello you");
  CHECK(said.result()->what->used.completion_tokens == 3);
  CHECK(said.result()->what->used.prompt_tokens == 3);
  CHECK(said.result()->what->mean_logprob == Approx(-1.0 / 3));
  CHECK(said.released_jobs == 1);
  CHECK(said.released_bytes == 10);
  CHECK(workers_in[0].count<taken_atom, job_id>() == 2);
  REQUIRE(ends().size() == 1);
  CHECK_FALSE(ends()[0].has_reply);
  CHECK(kept());
  CHECK(metric("bitnetd_jobs_total{state=\"done\"}") == 1);
}

TEST_CASE_METHOD(responder_fixture, "every bad end has its state and error, and is told once",
                 "[actors][responder]") {
  const auto [kind, name, state] = GENERATE(table<finish_kind, std::string, job_state>(
      {{finish_kind::cancelled, "E_CANCELLED", job_state::cancelled},
       {finish_kind::numeric, "E_NUMERIC", job_state::failed},
       {finish_kind::refused, "E_INTERNAL", job_state::failed}}));
  const auto id = begin();
  piece(id, 0, {7}, "x");
  finish(id, kind, 1);
  finish(id, kind, 1); // told twice by mistake: the second changes nothing
  const auto said = told("r");
  CHECK(said.ends == 1);
  CHECK(said.error_name() == name);
  CHECK(said.error()->job == id);
  CHECK(said.error()->state == state);
  CHECK(said.released_jobs == 1);
  CHECK(ends().size() == 1);
  CHECK_FALSE(kept());
}

TEST_CASE_METHOD(responder_fixture, "a stored answer is delivered as it was and not kept again",
                 "[actors][responder]") {
  const auto id = begin(1, false);
  auto what = maker.make("a", 1);
  what.cache.status = cache_status::hit;
  what.cache.tier = "exact";
  auto found = std::make_shared<answer>();
  found->text = "stored";
  found->finish = "stop";
  tell(aut, hit_atom_v, what, answer_ptr{found});
  const auto said = told("r");
  CHECK(said.text() == "stored");
  CHECK(said.result()->cache.status == cache_status::hit);
  CHECK_FALSE(kept());
  CHECK(ends().size() == 1);
  CHECK(ends()[0].id == id);
}

TEST_CASE_METHOD(responder_fixture, "a hit that passed the ledger by is told to the client alone",
                 "[actors][responder]") {
  auto what = maker.make("a", 1);
  what.unlisted = true;
  what.cache.status = cache_status::hit;
  auto found = std::make_shared<answer>();
  found->text = "stored";
  tell(aut, hit_atom_v, what, answer_ptr{found});
  const auto said = told("r");
  CHECK(said.text() == "stored");
  CHECK(said.ends == 1);
  CHECK(said.released_jobs == 1);
  CHECK(said.released_bytes == 10);
  CHECK(ends().empty());
  CHECK(cache_in.count<settled_atom, job_id, answer_ptr, bool>() == 0);
  CHECK(metric("bitnetd_jobs_accepted_total{class=\"normal\"}") == 1);
  CHECK(metric("bitnetd_jobs_total{state=\"done\"}") == 1);
  CHECK(metric("bitnetd_open_jobs") == 0);
}

TEST_CASE_METHOD(responder_fixture, "what is not cached says what the cache saw",
                 "[actors][responder]") {
  const auto id = begin(1, false);
  auto what = maker.make("a", 1);
  what.cache.veto = "numbers: 5 against 6";
  what.cache.explanation = "[]";
  tell(aut, missed_atom_v, what);
  const auto said = told("r");
  CHECK(said.ends == 1);
  CHECK(said.error_name() == "E_NOT_CACHED");
  REQUIRE(said.error()->cache);
  CHECK(said.error()->cache->status == cache_status::not_cached);
  CHECK(said.error()->cache->veto == "numbers: 5 against 6");
  CHECK(said.error()->cache->explanation == "[]");
  CHECK(said.released_jobs == 1);
  REQUIRE(ends().size() == 1);
  CHECK(ends()[0].id == id);
  CHECK_FALSE(kept());
}

TEST_CASE_METHOD(responder_fixture,
                 "an answer for which the cache has no room is not told as stored",
                 "[actors][responder]") {
  const bool no_room = GENERATE(false, true);
  auto what = maker.make("a", 1);
  what.cache.status = cache_status::miss;
  what.cache.no_room = no_room;
  tell(aut, open_atom_v, what);
  tell(aut, started_atom_v, what, 0u);
  piece(what.id, 0, {7, 8, 9}, "Hello you");
  finish(what.id);
  REQUIRE(told("r").result());
  CHECK(told("r").result()->cache.stored == !no_room);
}

TEST_CASE_METHOD(responder_fixture, "a failed check is named, counted and never cached",
                 "[actors][responder]") {
  const auto id = begin();
  piece(id, 0, {7, 8, 9}, "\xff\xfe");
  finish(id);
  const auto said = told("r");
  REQUIRE(said.result());
  CHECK(said.result()->what->failed_checks == std::vector<std::string>{"utf8"});
  CHECK(said.result()->state == job_state::done);
  CHECK_FALSE(kept());
  CHECK_FALSE(said.result()->cache.stored);
  CHECK(metric("bitnetd_quality_failures_total{check=\"utf8\"}") == 1);
}

TEST_CASE_METHOD(responder_fixture, "with checks off the same answer passes",
                 "[actors][responder]") {
  conf::config config;
  config.profile.phases.checks = false;
  maker.how.config = std::make_shared<const conf::config>(config);
  const auto id = begin();
  piece(id, 0, {7, 8, 9}, "\xff\xfe");
  finish(id);
  CHECK(told("r").result()->what->failed_checks.empty());
  CHECK(metric("bitnetd_phase_total{phase=\"combination\",skipped=\"true\"}") == 1);
}

TEST_CASE_METHOD(responder_fixture,
                 "a sampled answer that fails its checks is drawn once more with "
                 "the next seed",
                 "[actors][responder]") {
  maker.how.sampling.temperature = 1;
  maker.how.sampling.seed = 41;
  maker.how.quality_retries = 1;
  const auto id = begin();
  piece(id, 0, {7, 8, 9}, "\xff");
  finish(id);
  CHECK(told("r").ends == 0);
  auto [atom, again] = batcher_in.last<compute_atom, job>();
  CHECK(again.how->sampling.seed == 42);
  tell(aut, started_atom_v, again, 1u);
  SECTION("a good one is the answer") {
    piece(id, 0, {7, 8, 9}, "good");
    finish(id);
    CHECK(told("r").text() == "good");
    CHECK(told("r").result()->what->failed_checks.empty());
    CHECK(told("r").result()->seed == 42);
  }
  SECTION("a bad one is delivered and named: one retry was allowed") {
    piece(id, 0, {7, 8, 9}, "\xfe");
    finish(id);
    CHECK(told("r").result()->what->failed_checks == std::vector<std::string>{"utf8"});
    CHECK(batcher_in.count<compute_atom, job>() == 1);
  }
  CHECK(metric("bitnetd_quality_retries_total") == 1);
}

TEST_CASE_METHOD(responder_fixture,
                 "a greedy answer, and one of which the client has seen a part, "
                 "are not drawn again",
                 "[actors][responder]") {
  maker.how.quality_retries = 1;
  SECTION("greedy: it would come out the same") {}
  SECTION("seen") {
    maker.how.sampling.temperature = 1;
    maker.what.mode = reply_mode::stream;
  }
  const auto id = begin();
  piece(id, 0, {7, 8, 9}, "\xff");
  finish(id);
  CHECK(batcher_in.count<compute_atom, job>() == 0);
  CHECK(told("r").ends == 1);
}

TEST_CASE_METHOD(responder_fixture,
                 "deltas under any credit are contiguous and a prefix of the text",
                 "[actors][responder]") {
  std::mt19937 random{7};
  maker.what.mode = reply_mode::stream;
  maker.how.max_new_tokens = 40;
  for (int round = 0; round < 50; ++round) {
    maker.what.credit = static_cast<std::uint32_t>(random() % 4);
    maker.what.reply_to.tag = "r" + std::to_string(round);
    const auto id = begin(static_cast<std::uint8_t>(round));
    std::string text;
    std::uint64_t allowed = maker.what.credit;
    std::uint32_t n = 0;
    while (n < 40) {
      if (random() % 3 == 0) {
        query more;
        more.principal = "alice";
        more.reply_to = maker.what.reply_to;
        more.jobs = {id};
        more.credit = static_cast<std::uint32_t>(1 + random() % 2);
        allowed += more.credit;
        tell(aut, credit_atom_v, more);
      }
      const auto size = std::min(static_cast<std::uint32_t>(1 + random() % 3), 40 - n);
      std::string word(random() % 4, static_cast<char>('a' + random() % 26));
      piece(id, n, std::vector<engine::token_id>(size, 5), word);
      text += word;
      n += size;
    }
    finish(id, finish_kind::length, 40);
    const auto said = told(maker.what.reply_to.tag);
    CHECK(said.deltas.size() <= allowed);
    std::uint64_t offset = 0, seq = 0;
    for (const auto& delta : said.deltas) {
      CHECK(delta.offset == offset);
      CHECK(delta.seq == seq++);
      offset += delta.text.size();
    }
    CHECK(said.text() == text);
    CHECK(text.starts_with(said.delta_text()));
  }
}

TEST_CASE_METHOD(responder_fixture, "another connection's credit changes nothing",
                 "[actors][responder]") {
  maker.what.mode = reply_mode::stream;
  maker.what.credit = 0;
  const auto id = begin();
  piece(id, 0, {7}, "x");
  query more;
  more.principal = "mallory";
  more.reply_to = maker.what.reply_to;
  more.reply_to.peer = "another";
  more.jobs = {id};
  more.credit = 5;
  tell(aut, credit_atom_v, more);
  CHECK(told("r").deltas.empty());
  CHECK(ledger_in.count<credit_atom, query>() == 1); // it may be attached
  more.principal = "alice";
  more.reply_to = maker.what.reply_to;
  tell(aut, credit_atom_v, more);
  CHECK(told("r").delta_text() == "x");
}

TEST_CASE_METHOD(responder_fixture, "a durable job's text leaves only after it was written",
                 "[actors][responder]") {
  maker.what.mode = reply_mode::stream;
  maker.what.durable = true;
  const auto id = begin();
  piece(id, 0, {7}, "one");
  CHECK(told("r").deltas.empty());
  CHECK(workers_in[0].count<taken_atom, job_id>() == 0); // the next piece waits as well
  CHECK(ledger_in.count<output>() == 1);
  piece(id, 1, {8}, " two"); // a second piece that is not written yet
  tell(aut, written_atom_v, id);
  CHECK(told("r").delta_text() == "one");
  CHECK(workers_in[0].count<taken_atom, job_id>() == 1);
  query more;
  more.reply_to = maker.what.reply_to;
  more.principal = "alice";
  more.jobs = {id};
  more.credit = 5;
  tell(aut, credit_atom_v, more);
  CHECK(told("r").delta_text() == "one");
  tell(aut, written_atom_v, id);
  CHECK(told("r").delta_text() == "one two");
  finish(id, finish_kind::stop, 2);
  CHECK(told("r").ends == 0); // the end is written first: the ledger sends it
  REQUIRE(ends().size() == 1);
  CHECK(ends()[0].has_reply);
  CHECK(ends()[0].out.release_jobs == 1);
}

TEST_CASE_METHOD(responder_fixture, "a stored answer of a durable stream leaves with its end only",
                 "[actors][responder]") {
  maker.what.mode = reply_mode::stream;
  maker.what.durable = true;
  (void)begin(1, false);
  auto found = std::make_shared<answer>();
  found->text = "stored";
  tell(aut, hit_atom_v, maker.make("a", 1), answer_ptr{found});
  CHECK(told("r").deltas.empty());
  CHECK(ends().at(0).has_reply);
}

TEST_CASE_METHOD(responder_fixture, "a request is released exactly once, whatever its mode",
                 "[actors][responder]") {
  SECTION("mode job, not durable, nobody waits: a bare release") {
    maker.what.mode = reply_mode::job;
    finish(begin(), finish_kind::stop, 0);
    CHECK(told("r").released_jobs == 1);
    CHECK(told("r").ends == 0);
    CHECK_FALSE(ends().at(0).has_reply);
  }
  SECTION("mode job, durable, nobody waits: it was released when it was accepted") {
    maker.what.mode = reply_mode::job;
    maker.what.durable = true;
    finish(begin(), finish_kind::stop, 0);
    CHECK(told("r").all.empty());
    CHECK_FALSE(ends().at(0).has_reply);
  }
  SECTION("mode job, durable, somebody waits: with the result, after the write") {
    maker.what.mode = reply_mode::job;
    maker.what.durable = true;
    maker.what.wait_result = true;
    finish(begin(), finish_kind::stop, 0);
    CHECK(told("r").all.empty());
    CHECK(ends().at(0).has_reply);
    CHECK(ends().at(0).out.release_jobs == 1);
  }
  SECTION("from the journal: it was never counted") {
    maker.what.mode = reply_mode::job;
    maker.what.durable = true;
    auto what = maker.make("a", 1);
    what.recovered = true;
    tell(aut, open_atom_v, what);
    tell(aut, failed_atom_v, what.id, failure{}, std::vector<trace_entry>{});
    CHECK(told("r").all.empty());
    CHECK_FALSE(ends().at(0).has_reply);
  }
}

TEST_CASE_METHOD(responder_fixture,
                 "a deadline is enforced by the job's own route and told as such",
                 "[actors][responder]") {
  maker.how.deadline = time->mono() + milliseconds{500};
  const auto id = begin();
  pass(milliseconds{400});
  CHECK(ledger_in.count<cancel_atom, query>() == 0);
  pass(milliseconds{200});
  CHECK(std::get<1>(ledger_in.last<cancel_atom, query>()).jobs == std::vector{id});
  pass(milliseconds{200});
  CHECK(ledger_in.count<cancel_atom, query>() == 1);
  finish(id, finish_kind::cancelled, 1);
  CHECK(told("r").error_name() == "E_DEADLINE");
  CHECK(told("r").error()->state == job_state::expired);
}

TEST_CASE_METHOD(responder_fixture, "a job that ended before it started is stopped when it starts",
                 "[actors][responder]") {
  const auto id = begin(1, false);
  tell(aut, cancel_atom_v, id);
  CHECK(told("r").error_name() == "E_CANCELLED");
  cache_in.forget();
  tell(aut, started_atom_v, maker.make("a", 1), 0u);
  CHECK(std::get<1>(batcher_in.last<cancel_atom, job_id>()) == id);
  CHECK(std::get<2>(cache_in.last<settled_atom, job_id, answer_ptr, bool>()) == nullptr);
  CHECK(told("r").ends == 1);
}

TEST_CASE_METHOD(responder_fixture,
                 "tokens so far are told for jobs of a lost worker, and jobs that "
                 "ended are given up",
                 "[actors][responder]") {
  const auto id = begin(1), over = begin(2);
  piece(id, 0, {7, 8}, "x");
  finish(over, finish_kind::stop, 0);
  tell(aut, recall_atom_v, std::vector{id, over});
  const auto [atom, which, tokens] =
      batcher_in.last<resumed_atom, job_id, std::vector<engine::token_id>>();
  CHECK(which == id);
  CHECK(tokens == std::vector<engine::token_id>{7, 8});
  CHECK(std::get<2>(batcher_in.last<finished_atom, std::uint32_t, job_id>()) == over);
}

TEST_CASE_METHOD(responder_fixture, "output that does not follow on is dropped and taken",
                 "[actors][responder]") {
  const auto id = begin();
  piece(id, 0, {7}, "a");
  piece(id, 0, {7}, "a");
  piece(id, 1, {8, 9}, "b");
  finish(id);
  CHECK(told("r").text() == "ab");
  CHECK(workers_in[0].count<taken_atom, job_id>() == 3);
}

TEST_CASE_METHOD(responder_fixture,
                 "clients of jobs that are not journalled hear of an orderly end",
                 "[actors][responder]") {
  (void)begin();
  maker.what.durable = true;
  maker.what.reply_to.tag = "durable";
  (void)begin(2);
  caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
  run.run();
  CHECK(told("r").error_name() == "E_INTERNAL");
  CHECK(told("r").released_jobs == 1);
  CHECK(told("durable").all.empty()); // it goes on after the restart
}
