// SPDX-License-Identifier: MIT
#pragma once

#include "actors/assembly.h"
#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "actors/outgoing.h"
#include "base/clock.h"

#include <caf/stateful_actor.hpp>

#include <memory>
#include <unordered_map>

namespace bitnetd::actors {

struct responder_state {
  static inline constexpr const char* name = "responder";

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  peers_ptr others;
  /// Whoever has his answer and asks again finds it in the cache, and the job ended.
  outgoing<cache_actor, ledger_actor, batcher_actor> mail;
  std::unordered_map<job_id, assembly> open;
  std::unordered_map<job_id, batch_assembly> batches;

  void begin(responder_actor::pointer self, job what);
  void hit(responder_actor::pointer self, job what, const answer_ptr& found);
  void started(responder_actor::pointer self, job what, std::uint32_t worker);
  void add(responder_actor::pointer self, const output& piece);
  void finish(responder_actor::pointer self, const finished& end);
  void not_cached(responder_actor::pointer self, job what);
  void fail(responder_actor::pointer self, const job_id& id, failure why,
            std::vector<trace_entry> trace);
  void cancel(responder_actor::pointer self, const job_id& id);
  void written(responder_actor::pointer self, const job_id& id);
  void grow(responder_actor::pointer self, const job_id& id, std::uint32_t n_items, bool more);
  void more_credit(responder_actor::pointer self, const query& more);
  void recall(responder_actor::pointer self, const std::vector<job_id>& ids);
  void check_deadlines(responder_actor::pointer self);
  /// The last act of an orderly end: clients whose jobs are not in the journal are told.
  void close(responder_actor::pointer self);

private:
  /// The one place where a job ends.
  void end(responder_actor::pointer self, assembly& done, job_state state, answer_ptr what,
           std::optional<failure> why, const timing& times);
  /// Journal and client hear of it: what is durable is written first and then told.
  void announce(responder_actor::pointer self, const job& ended, result_ptr result);
  void end_batch(responder_actor::pointer self, const job_id& id);
  void collect(responder_actor::pointer self, const job& child, result_ptr result);
  void check(responder_actor::pointer self, assembly& done, const finished& last,
             const timing& times);
  void retry(responder_actor::pointer self, assembly& again,
             const std::vector<std::string>& failed);
  void send_delta(responder_actor::pointer self, assembly& to);
  void take(responder_actor::pointer self, const assembly& from);
  /// Somebody ended, or runs, a job that has ended here already: nobody may wait for it.
  void let_go(responder_actor::pointer self, const job_id& id);
};

/// RESPONDER: assembles answers, checks them, and gives every job its one terminal event.
///
///   worker ─output, finished▶ responder ─reply▶ outbox
///   cache  ─hit──────────────▶   │ ─settled▶ cache   ─ended▶ ledger
responder_actor::behavior_type responder(responder_actor::stateful_pointer<responder_state> self,
                                         std::shared_ptr<const clock> time,
                                         std::shared_ptr<metrics> counters);

} // namespace bitnetd::actors
