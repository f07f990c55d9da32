// SPDX-License-Identifier: MIT
#pragma once

#include "engine/hugging_face/json_file.h"
#include "engine/model_source.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitnetd::engine::hugging_face {

/// What config.json says of a model, translated into GGUF's terms.
struct model_config {
  std::string architecture; ///< as GGUF names it
  std::vector<std::pair<std::string, gguf_value>> entries;

  bool quantized = false;       ///< quantization_config with quant_method bitnet
  bool multiply_scale = false;  ///< y = … * weight_scale (autobitlinear); else / (bitlinear)
  bool master_weights = false;  ///< float projections are to be ternarised
  bool norms_minus_one = false; ///< the family stores its own norms minus 1 (Gemma)
  std::optional<bool> tied_head;
  std::vector<std::string> kept; ///< modules_to_not_convert: parts of names

  /// Whether the float weights of this module ("layers.0.mlp.up_proj") are masters.
  [[nodiscard]] bool is_master(std::string_view module) const;
};

/// Translates config.json. `input_norms`: the folder has a norm for the input of every projection,
/// as the BitNet embedding models do (their weights are masters, though nothing says so).
/// Throws load_error for what is not a family that is read, or would change the results.
[[nodiscard]] model_config read_config(const json_object& config, bool input_norms);

} // namespace bitnetd::engine::hugging_face
