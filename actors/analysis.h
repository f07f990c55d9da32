// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_model.h"
#include "actors/messages.h"
#include "actors/token_memo.h"

#include <cstdint>
#include <map>
#include <variant>

namespace bitnetd::actors {

/// What analysis looks at besides the request.
struct analysis_context {
  model_set models;
  conf::config_ptr config;
  const std::map<hash128, cost_model>* costs = nullptr;
  double load_ms = 0; ///< predicted ms of work before a new job
  mono_time now{};
  token_memo* memo = nullptr;
};

/// Phase 1 for one prompt: model, tokens, limits, cost, class, deadline, strategy. A failure is the
/// refusal that the client gets. With the profile's `phases.analysis` off only what correctness
/// needs is done: model, tokens, context; no estimate, no deadline check, no strategy.
[[nodiscard]] std::variant<traits, failure> analyze(const request& what, std::uint32_t item,
                                                    const analysis_context& with);

/// The rest for a batch, which needs all items: similarity and grouping. `items` are those that
/// were not refused.
void analyze_batch(std::vector<traits*>& items);

/// Additions and multiplications of a forward pass over `prompt` tokens and `made` new ones.
[[nodiscard]] double count_operations(const engine::hyperparameters& shape, std::uint64_t prompt,
                                      std::uint64_t made) noexcept;

} // namespace bitnetd::actors
