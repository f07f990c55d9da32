// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_model.h"
#include "actors/messages.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors {

// Where a job runs, and how large a step may be: plain decisions over what is known of the workers.

/// One model on one worker, as last heard of, less what was assigned since.
struct lane_load {
  model_room room;
  std::uint32_t n_running = 0;
  std::uint64_t context_sum = 0; ///< positions that the next decode step reads
  std::optional<step_budget> told;
};

/// One worker. Lanes of one worker take turns: a step runs one model.
struct worker_load {
  bool up = false;
  std::map<hash128, lane_load> lanes;
  std::uint32_t n_running = 0;
  double running_ms = 0; ///< predicted, of what it runs

  /// Takes over what the worker can take now; what it runs is known here.
  void update(const worker_credit& credit);
  void assigned(const traits& how);
  void left(const traits& how);
  /// Learns from a step how much its decodes read.
  void stepped(const step_time& step);
};

/// KV pages that a job needs from its first step to its last.
[[nodiscard]] std::uint64_t pages_of(const traits& how) noexcept;

/// What one more sequence makes of a lane's decode steps.
[[nodiscard]] double decode_step_ms(const cost_model& cost, const lane_load& lane,
                                    const traits& how) noexcept;

/// The chosen worker, or why there is none now.
struct placing {
  std::optional<std::uint32_t> worker;
  std::string blocked;
};

/// The least loaded worker that holds the job's model and has a sequence, memory and, by
/// prediction, time for it: a step may not grow beyond `targets.step`, but a worker that runs
/// nothing of a model always takes one. With `phases.batching` off a worker runs one job at a time.
[[nodiscard]] placing place(const traits& how, const std::vector<worker_load>& workers,
                            const cost_model& cost, const conf::profile_config& profile);

/// The shape of a lane's next steps: all its decodes, and as much prefill as `targets.step` leaves
/// time for, at least 16 rows: a prompt must get on.
[[nodiscard]] step_budget budget_for(const hash128& model, const lane_load& lane,
                                     const cost_model& cost, const conf::profile_config& profile);

} // namespace bitnetd::actors
