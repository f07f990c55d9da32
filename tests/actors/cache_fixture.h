// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cache.h"
#include "actors/cache_keeper.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/pure_test_helpers.h"
#include "tests/actors/tiny_models.h"
#include "tests/support/scratch_folder.h"

#include <memory>
#include <string>
#include <vector>

namespace bitnetd::actors::testing {

/// A cache and its keeper over a real store. Vectors come from the test instead of a worker.
struct cache_fixture : actor_fixture {
  tests::scratch_folder folder;
  std::shared_ptr<store::answers_db> answers;
  cache_actor aut;
  cache_keeper_actor keeper;
  std::shared_ptr<conf::config> config = std::make_shared<conf::config>();
  job_maker maker;

  cache_fixture() {
    answers = std::make_shared<store::answers_db>(folder.path());
    config->profile.cache.mode = conf::cache_mode::exact;
    start();
  }
  ~cache_fixture() { stop(); }

  void start() {
    aut = system.spawn(cache, time, counters, answers);
    keeper = system.spawn(cache_keeper, time, counters, answers);
    auto all = neighbours();
    all.cache = aut;
    all.keeper = keeper;
    const auto everyone = std::make_shared<const peers>(all);
    tell(aut, connect_atom_v, everyone);
    tell(keeper, connect_atom_v, everyone);
    tell(aut, models_atom_v, both_models());
    reconfigure();
  }
  void stop() {
    for (const auto& one : {caf::actor_cast<caf::actor>(aut), caf::actor_cast<caf::actor>(keeper)})
      caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    run.run();
  }
  /// As after the end of the daemon: everything in memory is new.
  void restart() {
    stop();
    answers = nullptr;
    answers = std::make_shared<store::answers_db>(folder.path());
    start();
  }
  /// Jobs that come from now on run under `config` as it is now.
  void reconfigure() {
    const conf::config_ptr next = std::make_shared<const conf::config>(*config);
    maker.how.config = next;
    tell(aut, configure_atom_v, next);
    tell(keeper, configure_atom_v, next);
  }
  void mode(conf::cache_mode mode) {
    config->profile.cache.mode = mode;
    reconfigure();
  }
  job make(const std::string& text) { return maker.make(text, ++number_); }
  /// Looks a new job up; returns its id.
  job_id look(const std::string& text) { return look(make(text)); }
  job_id look(const job& what) {
    tell(aut, lookup_atom_v, what);
    return what.id;
  }
  /// The responder ends a job with this answer.
  void settle(const job_id& id, const std::string& text, bool keep = true,
              const std::string& finish = "stop", std::uint32_t n_tokens = 3) {
    auto found = std::make_shared<answer>();
    found->text = text;
    found->finish = finish;
    found->tokens.assign(n_tokens, 5);
    found->used = {3, n_tokens, 0};
    found->cost_ms = 40;
    tell(aut, settled_atom_v, id, answer_ptr{found}, keep);
  }
  void settle_without(const job_id& id) { tell(aut, settled_atom_v, id, answer_ptr{}, false); }
  /// Computes and keeps an answer.
  void learn(const std::string& text, const std::string& answer) { settle(look(text), answer); }
  [[nodiscard]] bool computes(const job_id& id) const {
    for (const auto& [atom, what] : batcher_in.all<compute_atom, job>())
      if (what.id == id)
        return true;
    return false;
  }
  /// The job as it was answered from the cache; nothing when it was not.
  [[nodiscard]] std::optional<std::pair<job, std::string>> hit(const job_id& id) const {
    for (const auto& [atom, what, found] : responder_in.all<hit_atom, job, answer_ptr>())
      if (what.id == id)
        return std::pair{what, found->text};
    return std::nullopt;
  }
  [[nodiscard]] std::string answer_of(const job_id& id) const {
    const auto found = hit(id);
    return found ? found->second : "<not from the cache>";
  }
  /// The failure a job was ended with, or empty.
  [[nodiscard]] std::string failed(const job_id& id) const {
    for (const auto& [atom, which, why, trace] :
         responder_in.all<failed_atom, job_id, failure, std::vector<trace_entry>>())
      if (which == id)
        return why.name;
    return refused(id) ? "E_NOT_CACHED" : "";
  }
  /// The job as it was refused because nothing was kept and only-if-cached was asked.
  [[nodiscard]] std::optional<job> refused(const job_id& id) const {
    for (const auto& [atom, what] : responder_in.all<missed_atom, job>())
      if (what.id == id)
        return what;
    return std::nullopt;
  }
  /// What the batcher was told of this job.
  [[nodiscard]] job computed(const job_id& id) const {
    for (const auto& [atom, what] : batcher_in.all<compute_atom, job>())
      if (what.id == id)
        return what;
    throw std::runtime_error("it is not computed");
  }

private:
  std::uint8_t number_ = 0;
};

} // namespace bitnetd::actors::testing
