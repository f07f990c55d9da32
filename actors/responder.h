// SPDX-License-Identifier: MIT
#pragma once

#include "actors/assembly.h"
#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "base/clock.h"

#include <caf/stateful_actor.hpp>

#include <memory>
#include <unordered_map>

namespace bitnetd::actors {

struct responder_state {
  static inline constexpr const char* name = "responder";

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  conf::config_ptr config;
  peers_ptr others;
  std::unordered_map<job_id, assembly> open;
  std::unordered_map<job_id, batch_assembly> batches;

  void begin(responder_actor::pointer self, job what);
  void hit(responder_actor::pointer self, job what, const answer_ptr& found);
  void add(responder_actor::pointer self, const output& piece);
  void finish(responder_actor::pointer self, const finished& end);
  void fail(responder_actor::pointer self, const job_id& id, failure why,
            std::vector<trace_entry> trace);
  void cancel(responder_actor::pointer self, const job_id& id);
  void written(responder_actor::pointer self, const job_id& id);
  void recall(responder_actor::pointer self, const std::vector<job_id>& ids);
  void check_deadlines(responder_actor::pointer self);
  void send_delta(responder_actor::pointer self, assembly& to);

private:
  /// The one place where a job ends.
  void end(responder_actor::pointer self, assembly& done, job_state state, answer_ptr what,
           std::optional<failure> why, const timing& times);
  void end_batch(responder_actor::pointer self, const job_id& id);
  void collect(responder_actor::pointer self, const job& child, result_ptr result);
  void retry(responder_actor::pointer self, assembly& again,
             const std::vector<std::string>& failed);
  void take(responder_actor::pointer self, const assembly& from);
};

/// RESPONDER: assembles answers, checks them, and gives every job its one terminal event.
///
///   worker ─output, finished▶ responder ─reply▶ outbox
///   cache  ─hit──────────────▶   │ ─settled▶ cache   ─ended▶ ledger
responder_actor::behavior_type responder(responder_actor::stateful_pointer<responder_state> self,
                                         std::shared_ptr<const clock> time,
                                         std::shared_ptr<metrics> counters);

} // namespace bitnetd::actors
