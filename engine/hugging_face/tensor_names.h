// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::engine::hugging_face {

/// What a tensor of a folder is for.
enum class tensor_role {
  weight,  ///< a matrix or a norm
  scale,   ///< `weight_scale` of a projection
  ignored, ///< a buffer that no result depends on
};

struct translated_name {
  tensor_role role = tensor_role::weight;
  std::string gguf;         ///< "blk.0.attn_q.weight": of the weight, or of the one that is scaled
  std::string module;       ///< "layers.0.self_attn.q_proj"; of a projection's weight or scale only
  bool family_norm = false; ///< a norm of the family itself, not one of a projection's input
};

/// Translates "model.layers.0.self_attn.q_proj.weight" and its like, with or without "model.".
/// `gemma`: its layers have four norms, and one name means another. Empty: no name that we know.
[[nodiscard]] std::optional<translated_name> translate_name(std::string_view name, bool gemma);

} // namespace bitnetd::engine::hugging_face
