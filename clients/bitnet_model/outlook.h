// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model.h"

#include <string>
#include <vector>

namespace bitnetd::model_tool {

/// Tokens per second that one sequence can be decoded with on this machine: the kernels are timed
/// for a moment on matrices of the model's own width, and every weight is read once per token.
/// Attention is left out, so that it is an upper bound for short contexts.
struct expected_speed {
  double ternary_bytes_per_second = 0, dense_bytes_per_second = 0;
  double tokens_per_second = 0;
};
[[nodiscard]] expected_speed measure_expected_speed(const engine::model& description);

/// What will not work with this model, and why; one line each.
[[nodiscard]] std::vector<std::string> limitations(const engine::model& description);

} // namespace bitnetd::model_tool
