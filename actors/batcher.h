// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_model.h"
#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "actors/run_order.h"
#include "base/clock.h"

#include <caf/stateful_actor.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace bitnetd::actors {

struct batcher_state {
  static inline constexpr const char* name = "batcher";

  /// A worker as last heard of, less what was assigned since.
  struct worker_view {
    worker_actor handle;
    worker_credit credit;
    std::set<job_id> running;
    double running_ms = 0; ///< predicted, of what it runs
    std::uint32_t n_decode = 0;
    std::uint64_t context_sum = 0;
    step_budget budget;
  };
  struct running_job {
    job what;
    std::uint32_t worker = 0;
  };

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  conf::config_ptr config;
  peers_ptr others;
  run_order order;
  std::map<job_id, job> waiting;
  std::map<job_id, running_job> running;
  std::map<job_id, job> recalled; ///< of a lost worker: the responder is asked for their tokens
  std::map<job_id, std::vector<engine::token_id>> resumed; ///< tokens that were made elsewhere
  std::map<job_id, mono_time> came;
  std::vector<worker_view> workers;
  std::map<hash128, cost_model> costs;
  std::string blocked; ///< why the next job could not start; for its trace
  bool ticking = false;

  void enqueue(batcher_actor::pointer self, job what);
  void dispatch(batcher_actor::pointer self);
  void assign(batcher_actor::pointer self, const run_order::choice& choice, std::uint32_t worker);
  /// Index of the best worker for this job, or none; `blocked` then says why.
  [[nodiscard]] std::optional<std::uint32_t> place(const job& what);
  void leave(batcher_actor::pointer self, std::uint32_t worker, const job_id& id);
  void lost(batcher_actor::pointer self, std::uint32_t worker);
  void resume(batcher_actor::pointer self, const job_id& id, std::vector<engine::token_id> tokens);
  void cancel(batcher_actor::pointer self, const job_id& id);
  void expire(batcher_actor::pointer self);
  void observe(batcher_actor::pointer self, const step_time& step);
  void send_budget(batcher_actor::pointer self, std::uint32_t worker, const hash128& model);
  void connect(batcher_actor::pointer self, const peers_ptr& next);
  void configure(batcher_actor::pointer self, const conf::config_ptr& next);
  void report_load(batcher_actor::pointer self);
  void keep_ticking(batcher_actor::pointer self);
};

/// BATCHER: the run queue and where its jobs run.
///
///   cache ─compute▶ batcher ─assign▶ worker        batcher ─started▶ responder
///                          ◀credit, step, finished─
batcher_actor::behavior_type batcher(batcher_actor::stateful_pointer<batcher_state> self,
                                     std::shared_ptr<const clock> time,
                                     std::shared_ptr<metrics> counters);

} // namespace bitnetd::actors
