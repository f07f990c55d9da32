// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/wire_fields.h"
#include "daemon/wire_submit.h"

#include <cstdint>
#include <vector>

// Parts of decode_submit: what is asked, and how it is to be generated. All throw refusal.

namespace bitnetd::wire {

/// The prompts of a submit: its own, or those of its items (`is_batch`).
struct prompts {
  std::vector<prompt> items;
  bool is_batch = false;
};
[[nodiscard]] prompts decode_prompts(const nlohmann::json& body, const field_reader& fields,
                                     const submit_bounds& bounds);

[[nodiscard]] cache_directives decode_cache(const nlohmann::json& cache);

} // namespace bitnetd::wire
