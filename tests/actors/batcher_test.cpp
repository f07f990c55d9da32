// SPDX-License-Identifier: MIT
#include "actors/batcher.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/pure_test_helpers.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// A batcher whose two workers offer 8 sequences and 64 pages of one model each.
struct batcher_fixture : actor_fixture {
  batcher_actor aut;
  std::shared_ptr<conf::config> config = std::make_shared<conf::config>();
  job_maker maker;
  peers all;

  batcher_fixture() {
    aut = spawned(system.spawn(batcher, time, counters));
    all = neighbours();
    all.batcher = aut;
    tell(aut, configure_atom_v, conf::config_ptr{config});
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
    maker.how.predicted_ms = 100;
  }
  void offer(std::uint32_t worker, std::uint32_t sequences = 8, std::uint64_t pages = 64,
             std::uint8_t model = 1) {
    worker_credit credit;
    credit.worker = worker;
    hash128 hash;
    hash.bytes[0] = model;
    credit.room[hash] = {sequences, pages};
    tell(aut, credit);
  }
  void compute(job what) { tell(aut, compute_atom_v, std::move(what)); }
  void reconfigure() { tell(aut, configure_atom_v, std::make_shared<const conf::config>(*config)); }
  /// Numbers of the jobs this worker was given, in order.
  std::vector<int> given(std::size_t worker) const {
    std::vector<int> out;
    for (const auto& [atom, what] : workers_in[worker].all<assign_atom, assignment>())
      out.push_back(what.id.bytes[15]);
    return out;
  }
  /// The last line of the trace of the job that was assigned last.
  std::string decision() const {
    return std::get<1>(responder_in.last<started_atom, job, std::uint32_t>()).trace.back().decision;
  }
  /// The worker under this index ends; the supervisor has no new one yet.
  void lose(std::size_t worker) {
    caf::anon_send_exit(workers_in[worker].handle(), caf::exit_reason::kill);
    run.run();
  }
};

} // namespace

TEST_CASE_METHOD(batcher_fixture, "jobs are spread over the workers that hold their model",
                 "[actors][batcher]") {
  offer(0);
  offer(1);
  for (std::uint8_t n = 1; n <= 4; ++n)
    compute(maker.make("a", n));
  CHECK(given(0).size() == 2);
  CHECK(given(1).size() == 2);
  CHECK(ledger_in.count<running_atom, job_id>() == 4);
}

TEST_CASE_METHOD(batcher_fixture, "credit that comes before any job is not lost",
                 "[actors][batcher]") {
  offer(1);
  compute(maker.make("a", 1));
  CHECK(given(1) == std::vector<int>{1});
}

TEST_CASE_METHOD(batcher_fixture, "interactive jobs go before background jobs when room comes",
                 "[actors][batcher]") {
  maker.how.cls = job_class::background;
  compute(maker.make("b", 1));
  compute(maker.make("b", 2));
  maker.how.cls = job_class::interactive;
  compute(maker.make("i", 3));
  CHECK(given(0).empty());
  offer(0, 2);
  CHECK(given(0).size() == 2);
  CHECK(std::ranges::count(given(0), 3) == 1);
}

TEST_CASE_METHOD(batcher_fixture, "no more sequences are assigned than a worker has pages for",
                 "[actors][batcher]") {
  maker.how.tokens.assign(60, 1);
  maker.how.max_new_tokens = 4; // 64 positions: two pages
  offer(0, 8, 5);
  for (std::uint8_t n = 1; n <= 4; ++n)
    compute(maker.make("a", n));
  CHECK(given(0) == std::vector<int>{1, 2});
  pass(milliseconds{10});
  tell(aut, finished_atom_v, 0u, maker.make("a", 1).id);
  offer(0, 7, 3);
  CHECK(given(0) == std::vector<int>{1, 2, 3});
  CHECK_THAT(decision(), Catch::Contains("waited because KV memory was used up"));
}

TEST_CASE_METHOD(batcher_fixture, "a batch has no more sequences than the profile says",
                 "[actors][batcher]") {
  config->profile.batch.max_sequences = 2;
  reconfigure();
  offer(0);
  for (std::uint8_t n = 1; n <= 3; ++n)
    compute(maker.make("a", n));
  CHECK(given(0) == std::vector<int>{1, 2});
  config->profile.batch.max_sequences = 3; // edited while it runs: acts at once
  reconfigure();
  CHECK(given(0) == std::vector<int>{1, 2, 3});
}

TEST_CASE_METHOD(batcher_fixture, "a sequence that would make steps too long waits",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  // A machine on which each decode row takes 200 ms: two rows are over the target of 250 ms.
  auto curve = std::make_shared<cost_curve>();
  for (std::uint32_t n = 1; n <= 8; ++n)
    curve->points.push_back({n, 0, 0, 200.0 * n});
  tell(aut, cost_atom_v, maker.how.model->description->model_hash,
       cost_curve_ptr{std::move(curve)});
  compute(maker.make("a", 2));
  CHECK(given(0) == std::vector<int>{1});
  pass(milliseconds{5});
  config->profile.targets.step = milliseconds{1000};
  reconfigure();
  CHECK(given(0) == std::vector<int>{1, 2});
  CHECK_THAT(decision(), Catch::Contains("longer than targets.step"));
}

TEST_CASE_METHOD(batcher_fixture, "with batching off a worker runs one job at a time",
                 "[actors][batcher]") {
  config->profile.phases.batching = false;
  reconfigure();
  offer(0);
  compute(maker.make("a", 1));
  compute(maker.make("a", 2));
  CHECK(given(0) == std::vector<int>{1});
  CHECK_THAT(decision(), Catch::Contains("batching is off"));
  CHECK(metric("bitnetd_phase_total{phase=\"batching\",skipped=\"true\"}") == 1);
  tell(aut, finished_atom_v, 0u, maker.make("a", 1).id);
  CHECK(given(0) == std::vector<int>{1, 2});
}

TEST_CASE_METHOD(batcher_fixture, "a job does not wait behind another model's full batch",
                 "[actors][batcher]") {
  hash128 first, second;
  first.bytes[0] = 1;
  second.bytes[0] = 2;
  worker_credit credit;
  credit.room[first] = {1, 64};
  credit.room[second] = {1, 64};
  tell(aut, credit);
  compute(maker.make("a", 1));
  compute(maker.make("a", 2)); // the first model is full now
  maker.how.model = bare_model("other", 2);
  compute(maker.make("b", 3));
  CHECK(given(0) == std::vector<int>{1, 3});
}

TEST_CASE_METHOD(batcher_fixture, "a refused job waits for the next credit and goes out once more",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  const auto id = maker.make("a", 1).id;
  tell(aut, refused_atom_v, 0u, id);
  CHECK(given(0) == std::vector<int>{1});
  offer(0);
  CHECK(given(0) == std::vector<int>{1, 1});
  const auto again = std::get<1>(responder_in.last<started_atom, job, std::uint32_t>());
  CHECK(again.trace.size() == 1); // the assignment that came to nothing left no line
  CHECK(metric("bitnetd_phase_total{phase=\"batching\",skipped=\"false\"}") == 1);
}

TEST_CASE_METHOD(batcher_fixture, "a lost worker's job goes on elsewhere from its last token",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  REQUIRE(given(0) == std::vector<int>{1});
  offer(1);
  lose(0);
  const auto recalled = responder_in.last<recall_atom, std::vector<job_id>>();
  REQUIRE(std::get<1>(recalled) == std::vector{maker.make("a", 1).id});
  tell(aut, resumed_atom_v, maker.make("a", 1).id, std::vector<engine::token_id>{41, 42});
  const auto [atom, what] = workers_in[1].last<assign_atom, assignment>();
  CHECK(what.tokens == std::vector<engine::token_id>{1, 2, 3, 41, 42});
  CHECK(what.n_generated == 2);
  CHECK(what.max_new_tokens == 32);
}

TEST_CASE_METHOD(batcher_fixture, "a moved job that is refused keeps its tokens",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  offer(1);
  lose(0);
  tell(aut, resumed_atom_v, maker.make("a", 1).id, std::vector<engine::token_id>{41});
  tell(aut, refused_atom_v, 1u, maker.make("a", 1).id);
  offer(1);
  REQUIRE(given(1) == std::vector<int>{1, 1});
  CHECK(std::get<1>(workers_in[1].last<assign_atom, assignment>()).n_generated == 1);
}

TEST_CASE_METHOD(batcher_fixture,
                 "a new worker that is here before the news of the old one's end "
                 "takes its jobs over",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  const stand_in fresh{system};
  all.workers[0] = fresh.as<worker_actor>();
  tell(aut, connect_atom_v, std::make_shared<const peers>(all));
  CHECK(std::get<1>(responder_in.last<recall_atom, std::vector<job_id>>()).size() == 1);
  tell(aut, resumed_atom_v, maker.make("a", 1).id, std::vector<engine::token_id>{});
  offer(0);
  CHECK(fresh.count<assign_atom, assignment>() == 1);
  tell(fresh.handle(), caf::exit_msg{fresh.handle().address(), caf::exit_reason::kill});
}

TEST_CASE_METHOD(batcher_fixture, "a job on its third lost worker ends instead of taking a fourth",
                 "[actors][batcher]") {
  const auto id = maker.make("a", 1).id;
  std::vector<stand_in> fresh;
  offer(0);
  compute(maker.make("a", 1));
  for (int time_lost = 1; time_lost <= 3; ++time_lost) {
    fresh.emplace_back(system);
    spawned(fresh.back().handle());
    all.workers[0] = fresh.back().as<worker_actor>();
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
    tell(aut, resumed_atom_v, id, std::vector<engine::token_id>{});
    offer(0);
    CHECK(fresh.back().count<assign_atom, assignment>() == (time_lost < 3 ? 1 : 0));
  }
  const auto failed = responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>();
  CHECK(std::get<1>(failed) == id);
  CHECK(std::get<2>(failed).name == "E_INTERNAL");
}

TEST_CASE_METHOD(batcher_fixture, "a deadline that passes in the queue ends the job with its trace",
                 "[actors][batcher]") {
  maker.how.deadline = time->mono() + milliseconds{200};
  compute(maker.make("a", 1));
  pass(milliseconds{150});
  CHECK(responder_in.count<failed_atom, job_id, failure, std::vector<trace_entry>>() == 0);
  pass(milliseconds{100});
  const auto [atom, id, why, trace] =
      responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>();
  CHECK(id == maker.make("a", 1).id);
  CHECK(why.name == "E_DEADLINE");
  offer(0);
  CHECK(given(0).empty());
}

TEST_CASE_METHOD(batcher_fixture, "a cancelled job ends wherever it is", "[actors][batcher]") {
  const auto id = maker.make("a", 1).id;
  SECTION("waiting") {
    compute(maker.make("a", 1));
    tell(aut, cancel_atom_v, id);
    CHECK(std::get<2>(responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>())
              .name == "E_CANCELLED");
    offer(0);
    CHECK(given(0).empty());
  }
  SECTION("running: the worker ends it") {
    offer(0);
    compute(maker.make("a", 1));
    tell(aut, cancel_atom_v, id);
    CHECK(std::get<1>(workers_in[0].last<cancel_atom, job_id>()) == id);
  }
  SECTION("between two workers") {
    offer(0);
    compute(maker.make("a", 1));
    lose(0);
    tell(aut, cancel_atom_v, id);
    CHECK(responder_in.count<failed_atom, job_id, failure, std::vector<trace_entry>>() == 1);
    tell(aut, resumed_atom_v, id, std::vector<engine::token_id>{1});
    offer(1);
    CHECK(given(1).empty());
  }
  SECTION("unknown here: the responder has the last word") {
    tell(aut, cancel_atom_v, id);
    CHECK(std::get<1>(responder_in.last<cancel_atom, job_id>()) == id);
  }
}

TEST_CASE_METHOD(batcher_fixture, "the step budget follows the profile at once",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  config->profile.chunk.prefill_tokens = 48;
  config->profile.batch.max_tokens = 96;
  config->profile.threads = 3;
  reconfigure();
  const auto [atom, budget] = workers_in[0].last<budget_atom, step_budget>();
  CHECK(budget.prefill_chunk == 48);
  CHECK(budget.max_tokens == 96);
  CHECK(budget.threads == 3);
  CHECK(budget.model_hash == maker.how.model->description->model_hash);
}

TEST_CASE_METHOD(batcher_fixture, "slow steps make the prefill chunk smaller, never less than 16",
                 "[actors][batcher]") {
  offer(0);
  compute(maker.make("a", 1));
  const auto hash = maker.how.model->description->model_hash;
  for (int i = 0; i < 60; ++i) { // 5 ms a row: the target of 250 ms leaves room for about 48 rows
    tell(aut, step_time{0, hash, 0, 64, 64 * 32, 320});
    tell(aut, step_time{0, hash, 1, 0, 64, 5});
  }
  const auto chunk = std::get<1>(workers_in[0].last<budget_atom, step_budget>()).prefill_chunk;
  CHECK(chunk >= 32);
  CHECK(chunk <= 48);
  config->profile.targets.step = milliseconds{10};
  reconfigure();
  CHECK(std::get<1>(workers_in[0].last<budget_atom, step_budget>()).prefill_chunk == 16);
}

TEST_CASE_METHOD(batcher_fixture, "the ledger may have four batches of every worker under way",
                 "[actors][batcher]") {
  config->profile.batch.max_sequences = 5;
  reconfigure();
  CHECK(std::get<1>(ledger_in.last<credit_atom, std::uint32_t>()) == 4 * 5 * 2);
}

TEST_CASE_METHOD(batcher_fixture, "what 256 steps have taught is told on", "[actors][batcher]") {
  const auto hash = maker.how.model->description->model_hash;
  offer(0);
  compute(maker.make("a", 1));
  for (int i = 0; i < 256; ++i)
    tell(aut, step_time{0, hash, 1u + static_cast<unsigned>(i) % 4, 0, 0, 10.0 * (1 + i % 4)});
  const auto [atom, model, curve] = supervisor_in.last<cost_atom, hash128, cost_curve_ptr>();
  CHECK(model == hash);
  CHECK(cost_model{*curve}.predict_ms(2, 0, 0) == Approx(20).epsilon(0.1));
}
