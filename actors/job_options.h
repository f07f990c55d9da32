// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <cstdint>
#include <string>

namespace bitnetd::actors {

/// What the journal keeps of a job beside its request, so that it goes on as it began whatever the
/// configuration says by then: how tokens are drawn, and where an item's words stand.
struct job_options {
  std::string model_hash;           ///< hexadecimal; empty: not analyzed (a batch, or refused)
  engine::sampling_params sampling; ///< without logit_bias, which the request has
  std::uint32_t max_new_tokens = 0;
  std::uint32_t retries = 0; ///< of failed quality checks
  bool read = false;         ///< somebody has read of its output: no other may be drawn
  std::uint32_t base = 0; ///< of an item: index of the first item of its part, which has the body
};

[[nodiscard]] job_options options_of(const job& what);

/// JSON, as job_record::options has it. What does not read gives nothing.
[[nodiscard]] std::string to_text(const job_options& what);
[[nodiscard]] std::optional<job_options> read_options(const std::string& text);

/// Makes a stored request draw as its job did.
void apply(const job_options& what, request& to);

/// Bytes of text that a sequence has given out when it is taken up after `tokens`: the rest is held
/// back until it is a whole character and no beginning of a stop string.
[[nodiscard]] std::size_t text_given_out(const engine::model& by,
                                         const std::vector<std::string>& stops,
                                         const std::vector<engine::token_id>& tokens);

} // namespace bitnetd::actors
