// SPDX-License-Identifier: MIT
#pragma once

#include "actors/analysis.h"
#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "actors/outgoing.h"
#include "base/clock.h"
#include "store/job_id.h"

#include <caf/stateful_actor.hpp>

#include <map>
#include <memory>

namespace bitnetd::actors {

struct analyzer_state {
  static inline constexpr const char* name = "analyzer";

  std::shared_ptr<const clock> time;
  std::shared_ptr<metrics> counters;
  store::job_id_source ids;
  conf::config_ptr config;
  peers_ptr others;
  outgoing<> mail;
  model_set models = std::make_shared<const std::vector<model_handle>>();
  std::map<hash128, cost_model> costs;
  token_memo memo{16u << 20};
  double load_ms = 0;
  bool draining = false;

  void submit(analyzer_actor::pointer self, const request_ptr& what);
  void recover(analyzer_actor::pointer self, const request_ptr& what, const job_id& id,
               std::uint32_t attempt);
  void answer(analyzer_actor::pointer self, const token_query& what);

private:
  /// One job, or a parent and its children; a failure that ends the whole request.
  [[nodiscard]] std::variant<std::vector<job>, failure> make_jobs(const request_ptr& what);
  [[nodiscard]] std::variant<std::vector<job>, failure> try_make_jobs(const request_ptr& what);
  [[nodiscard]] job make_job(const request_ptr& what, std::uint32_t item,
                             const analysis_context& with, mono_time began,
                             std::variant<traits, failure>& result);
  void refuse(analyzer_actor::pointer self, const request& what, failure why);
};

/// ANALYZER: phase 1. `ids` continues after the newest job in the journal.
analyzer_actor::behavior_type analyzer(analyzer_actor::stateful_pointer<analyzer_state> self,
                                       std::shared_ptr<const clock> time,
                                       std::shared_ptr<metrics> counters, store::job_id_source ids);

} // namespace bitnetd::actors
