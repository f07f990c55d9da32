// SPDX-License-Identifier: MIT
#include "actors/worker.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/tiny_models.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// A worker with real models that steps only when it is let.
struct worker_fixture : actor_fixture {
  worker_actor aut;
  std::shared_ptr<conf::config> config = std::make_shared<conf::config>();

  worker_fixture() {
    config->hardware.max_sequences = 2;
    config->hardware.kv_bytes = 1u << 20;
    worker_options options;
    options.node = {{0}, {}};
    options.threads = 1;
    options.kernels = engine::find_kernels("auto");
    options.time = time;
    options.own_thread = false;
    aut = spawned(system.spawn(worker, std::move(options)));
    auto all = neighbours();
    all.workers[0] = aut;
    tell(aut, configure_atom_v, conf::config_ptr{config});
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
  }
  static assignment job(std::uint8_t number, std::uint32_t n = 6) {
    assignment out;
    out.id.bytes[15] = number;
    out.model_hash = chat_model()->description->model_hash;
    out.tokens = chat_model()->description->words->encode("a prompt", true, false);
    out.max_new_tokens = n;
    out.ignore_eos = true;
    return out;
  }
  /// Takes outputs until nothing moves any more; what was generated.
  std::string drain() {
    std::string text;
    for (std::size_t seen = 0; seen < responder_in.count<output>();) {
      const auto [piece] = responder_in.all<output>()[seen++];
      text += piece.text;
      tell(aut, taken_atom_v, piece.id);
    }
    return text;
  }
  [[nodiscard]] model_room room() const {
    const auto [credit] = batcher_in.last<worker_credit>();
    return credit.room.at(chat_model()->description->model_hash);
  }
};

} // namespace

TEST_CASE_METHOD(worker_fixture, "a worker tells what it can take, before and after a job",
                 "[actors][worker]") {
  tell(aut, models_atom_v, both_models());
  CHECK(room().sequences == 2);
  const auto pages = room().pages;
  tell(aut, assign_atom_v, job(1));
  (void)drain();
  CHECK(batcher_in.count<worker_credit>() == 2);
  CHECK(room().sequences == 2);
  CHECK(room().pages == pages);
  const auto [end] = responder_in.last<finished>();
  CHECK(end.finish == finish_kind::length);
  CHECK(end.n_tokens == 6);
  CHECK(std::get<2>(batcher_in.last<finished_atom, std::uint32_t, job_id>()) == job(1).id);
  CHECK(batcher_in.count<step_time>() == 6); // one prefill, five decodes
}

TEST_CASE_METHOD(worker_fixture,
                 "what comes before the first model, or beyond the room, is refused "
                 "for now",
                 "[actors][worker]") {
  tell(aut, assign_atom_v, job(1));
  CHECK(std::get<2>(batcher_in.last<refused_atom, std::uint32_t, job_id>()) == job(1).id);
  tell(aut, models_atom_v, both_models());
  batcher_in.forget();
  for (std::uint8_t n = 1; n <= 3; ++n) // all three before the first step
    caf::anon_send(aut, assign_atom_v, job(n));
  run.run();
  CHECK(std::get<2>(batcher_in.last<refused_atom, std::uint32_t, job_id>()) == job(3).id);
  const auto [truth] = batcher_in.all<worker_credit>().front(); // follows the refusal
  CHECK(truth.room.at(job(1).model_hash).sequences == 0);
  CHECK(responder_in.count<finished>() == 0);
}

TEST_CASE_METHOD(worker_fixture, "a job for a model that is not here ends by itself",
                 "[actors][worker]") {
  tell(aut, models_atom_v, both_models());
  auto foreign = job(1);
  foreign.model_hash = {};
  tell(aut, assign_atom_v, foreign);
  const auto [end] = responder_in.last<finished>();
  CHECK(end.finish == finish_kind::refused);
  CHECK_THAT(end.reason, Catch::Contains("does not hold the model"));
  CHECK(batcher_in.count<finished_atom, std::uint32_t, job_id>() == 1);
}

TEST_CASE_METHOD(worker_fixture, "a cancelled sequence finishes once and gives its room back",
                 "[actors][worker]") {
  tell(aut, models_atom_v, both_models());
  caf::anon_send(aut, assign_atom_v, job(1, 400));
  run.run_once();
  tell(aut, cancel_atom_v, job(1).id);
  tell(aut, cancel_atom_v, job(1).id);
  tell(aut, cancel_atom_v, job(9).id); // unknown: nothing happens
  REQUIRE(responder_in.count<finished>() == 1);
  CHECK(std::get<0>(responder_in.last<finished>()).finish == finish_kind::cancelled);
  CHECK(room().sequences == 2);
}

TEST_CASE_METHOD(worker_fixture, "a vector is made for the cache, or refused at once",
                 "[actors][worker]") {
  tell(aut, embed_atom_v, embed_request{1, embed_model()->description->model_hash, {5, 6}});
  CHECK(std::get<0>(cache_in.last<embedded>()).vector.empty()); // no model yet
  tell(aut, models_atom_v, both_models());
  tell(aut, embed_atom_v, embed_request{2, embed_model()->description->model_hash, {5, 6}});
  CHECK(std::get<0>(cache_in.last<embedded>()).ticket == 2);
  CHECK(std::get<0>(cache_in.last<embedded>()).vector.size() == 256);
}

TEST_CASE_METHOD(worker_fixture, "an idle worker sends itself nothing", "[actors][worker]") {
  tell(aut, models_atom_v, both_models());
  tell(aut, assign_atom_v, job(1));
  (void)drain();
  CHECK_FALSE(run.has_job());
}
