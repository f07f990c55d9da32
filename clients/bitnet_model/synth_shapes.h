// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model.h"

#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::model_tool {

/// The names of the shapes that can be made.
[[nodiscard]] std::vector<std::string> shape_names();

/// The hyperparameters of a published model, or of a tiny one, by name ("2b-4t").
///   tiny-random  4 layers of 256      bitnet-b1.58   seconds of testing
///   large        1bitLLM large        bitnet         serving
///   3b           1bitLLM 3B           bitnet         wide feed-forward, rows that straddle groups
///   2b-4t        BitNet-b1.58-2B-4T   bitnet-b1.58   engine speed
///   8b           Llama3-8B-1.58       llama          memory
[[nodiscard]] const engine::hyperparameters& find_shape(std::string_view name);

} // namespace bitnetd::model_tool
