// SPDX-License-Identifier: MIT
#pragma once

#include "actors/metrics.h"
#include "actors/supervisor.h"
#include "engine/node.h"
#include "store/answers_db.h"
#include "store/jobs_db.h"

#include <caf/stateful_actor.hpp>
#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors {

/// How long another actor may take to answer the supervisor.
inline constexpr std::chrono::seconds request_timeout{30};

/// What is made before any actor runs, so that a refusal reaches the one who starts the daemon.
struct supervisor_parts {
  supervisor_options options;
  std::shared_ptr<metrics> counters;
  std::vector<engine::node_description> nodes;
  const engine::kernel_table* kernels = nullptr;
  std::shared_ptr<store::jobs_db> jobs;
  std::string lost; ///< of the journal, found when it was opened; empty: nothing
  std::shared_ptr<store::answers_db> answers; ///< nullptr: could not be opened
  model_set models;
  std::map<hash128, cost_curve_ptr> curves;
};

/// File of a model's step cost under the present configuration.
[[nodiscard]] std::filesystem::path
cost_file_of(const hash128& model, const supervisor_parts& parts, const conf::config& config);

/// Step costs of every model: stored ones, else measured now.
[[nodiscard]] std::map<hash128, cost_curve_ptr>
curves_of(const model_set& models, const supervisor_parts& parts, const conf::config& config);

/// supervisor.cpp: the tree, its end, its health. supervisor_models.cpp: what is served, and under
/// which configuration. supervisor_admin.cpp: administrators' questions. supervisor_start.cpp: what
/// comes before the first actor.
struct supervisor_state {
  static inline constexpr const char* name = "supervisor";

  supervisor_parts parts;
  peers_ptr members;
  mono_time started{}, stop_at{}, last_metrics{};
  std::vector<mono_time> restarts;                         ///< of workers, lately
  std::vector<std::weak_ptr<const served_model>> retiring; ///< not served; jobs may still need them
  std::optional<mono_time> park_at;                        ///< when a drain puts running jobs back
  bool draining = false, stopping = false, failed = false, loading = false;

  void spawn_all(supervisor_actor::pointer self);
  void down(supervisor_actor::pointer self, const caf::down_msg& what);
  void reload(supervisor_actor::pointer self, const conf::reload_report& report);
  void models_came(supervisor_actor::pointer self, const loaded_models& loaded);
  void cost_came(supervisor_actor::pointer self, const hash128& model, const cost_curve_ptr& curve);
  void fail(supervisor_actor::pointer self, const std::string& why);
  void administer(supervisor_actor::pointer self, const admin_request& what);
  void stop(supervisor_actor::pointer self, std::uint32_t limit_s);
  void tick(supervisor_actor::pointer self);
  [[nodiscard]] caf::result<bool> ready(supervisor_actor::pointer self);
  [[nodiscard]] caf::result<health> check(supervisor_actor::pointer self);

private:
  [[nodiscard]] worker_actor spawn_worker(supervisor_actor::pointer self, std::uint32_t index);
  void connect(supervisor_actor::pointer self);
  void open_doors(supervisor_actor::pointer self);
  void configure(supervisor_actor::pointer self);
  void load_changed_models(supervisor_actor::pointer self);
  void send_models(supervisor_actor::pointer self);
  void send_curves(supervisor_actor::pointer self);
  [[nodiscard]] model_set held_models() const;
  void drain(supervisor_actor::pointer self, bool on);
  void end_all(supervisor_actor::pointer self);
  /// Tells whether everyone who was asked answered in time, and how many jobs are on their way.
  void ask_everyone(supervisor_actor::pointer self, seconds patience,
                    std::function<void(bool all, std::uint64_t open_jobs)> done);
  void gather_stats(supervisor_actor::pointer self, const admin_request& what);
  void tell(supervisor_actor::pointer self, const admin_request& who, std::string type,
            std::string body);
  void tell_error(supervisor_actor::pointer self, const admin_request& who, failure why);
  void tell_report(supervisor_actor::pointer self, const admin_request& who,
                   const conf::reload_report& report, nlohmann::json extra);
  void tell_profile(supervisor_actor::pointer self, const admin_request& what);
  void tell_drained(supervisor_actor::pointer self, const admin_request& what);
};

supervisor_actor::behavior_type
supervisor(supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_parts parts);

} // namespace bitnetd::actors
