// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "actors/sequences.h"
#include "base/clock.h"
#include "engine/node.h"

#include <caf/stateful_actor.hpp>

#include <memory>

namespace bitnetd::actors {

/// What a worker is made of, besides the models that it is told.
struct worker_options {
  std::uint32_t index = 0;
  engine::node_description node;
  std::uint32_t threads = 0; ///< 0 = one per CPU of the node
  const engine::kernel_table* kernels = nullptr;
  std::shared_ptr<const clock> time;
  bool own_thread = true; ///< it is spawned detached: its thread goes to the node's CPUs
};

struct worker_state {
  static inline constexpr const char* name = "worker";

  worker_options options;
  std::unique_ptr<engine::compute_node> node;
  conf::config_ptr config;
  peers_ptr others;
  std::unique_ptr<sequences> running; ///< every sequence on this node
  bool stepping = false; ///< a step_atom is in the mailbox: never two, or steps would multiply

  // Handlers; `self` is the actor.
  void serve(worker_actor::pointer self, const model_set& next);
  void assign(worker_actor::pointer self, const assignment& what);
  void embed(worker_actor::pointer self, const embed_request& what);
  void step(worker_actor::pointer self);
  void wake(worker_actor::pointer self);
  void plan(const step_budget& budget);
  [[nodiscard]] std::optional<sequences::refusal> try_assign(const assignment& what);
  void send_credit(worker_actor::pointer self);
};

/// WORKER (detached): runs sequences on one NUMA node.
///
///   batcher ─assign, cancel▶ worker ─output, finished▶ responder ─taken▶ worker
///   batcher ◀─credit, step─── worker ◀─embed─ cache
worker_actor::behavior_type worker(worker_actor::stateful_pointer<worker_state> self,
                                   worker_options options);

} // namespace bitnetd::actors
