// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_model.h"
#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "actors/outgoing.h"
#include "actors/placement.h"
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

  /// A job and what happened to it here.
  struct held_job {
    job what;
    mono_time arrived{};                ///< it came: its place in the order, also when it moves
    mono_time since{};                  ///< it waits (or waited) for a worker
    std::vector<engine::token_id> made; ///< tokens that a lost worker made
    std::uint32_t lost_workers = 0;     ///< workers that ended while it ran
    bool counted = false;               ///< in the phase's counter
  };
  struct running_job {
    held_job held;
    std::uint32_t worker = 0;
  };
  /// Jobs that wait for one model. Models take turns: none waits behind another's full batch.
  struct model_queue {
    run_order order;
    std::string blocked; ///< why the next job could not start; for its trace
  };

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  conf::config_ptr config;
  peers_ptr others;
  grouping groups;
  std::map<hash128, model_queue> queues;
  hash128 last_started; ///< model of the job that was assigned last
  std::map<job_id, held_job> waiting;
  std::map<job_id, running_job> running;
  std::map<job_id, held_job>
      recalled; ///< of a lost worker: the responder is asked for their tokens
  std::vector<worker_actor> workers;
  std::vector<worker_load> loads; ///< of `workers`
  std::map<hash128, cost_model> costs;
  std::map<hash128, std::uint32_t> steps_since_told; ///< of a model's cost
  double told_load_ms = -1;
  bool ticking = false;

  void enqueue(batcher_actor::pointer self, held_job held);
  void dispatch(batcher_actor::pointer self);
  void credit(batcher_actor::pointer self, const worker_credit& now);
  void refused(batcher_actor::pointer self, std::uint32_t worker, const job_id& id);
  void leave(batcher_actor::pointer self, const job_id& id);
  void lost(batcher_actor::pointer self, std::uint32_t worker);
  void resume(batcher_actor::pointer self, const job_id& id, std::vector<engine::token_id> tokens);
  void cancel(batcher_actor::pointer self, const job_id& id);
  void expire(batcher_actor::pointer self);
  void observe(batcher_actor::pointer self, const step_time& step);
  void connect(batcher_actor::pointer self, const peers_ptr& next);
  void configure(batcher_actor::pointer self, const conf::config_ptr& next);
  void keep_ticking(batcher_actor::pointer self);
  [[nodiscard]] std::string stats() const;

private:
  [[nodiscard]] bool start_one(batcher_actor::pointer self);
  void assign(batcher_actor::pointer self, held_job held, std::uint32_t worker,
              const std::string& why, const std::string& blocked);
  [[nodiscard]] std::string decision(const held_job& held, std::uint32_t worker,
                                     const std::string& why, const std::string& blocked) const;
  void send_budget(batcher_actor::pointer self, std::uint32_t worker, const hash128& model);
  void report_load(batcher_actor::pointer self);
};

/// BATCHER: the run queue and where its jobs run.
///
///   cache ─compute▶ batcher ─assign▶ worker        batcher ─started▶ responder
///                          ◀credit, step, finished─
batcher_actor::behavior_type batcher(batcher_actor::stateful_pointer<batcher_state> self,
                                     std::shared_ptr<const clock> time,
                                     std::shared_ptr<metrics> counters);

} // namespace bitnetd::actors
