// SPDX-License-Identifier: MIT
#include "engine/hugging_face/tensor_names.h"

#include "engine/tensor_names.h"

#include <charconv>
#include <cstdint>
#include <utility>

namespace bitnetd::engine::hugging_face {

namespace {

using name_pair = std::pair<std::string_view, std::string_view>;

constexpr name_pair modules[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},  {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

constexpr name_pair norms[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.attn_sub_norm", "attn_sub_norm"},
    {"self_attn.inner_attn_ln", "attn_sub_norm"},
    {"mlp.ffn_sub_norm", "ffn_sub_norm"},
    {"mlp.ffn_layernorm", "ffn_sub_norm"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
};
constexpr name_pair plain_norms[] = {{"post_attention_layernorm", "ffn_norm"}};
constexpr name_pair gemma_norms[] = {{"post_attention_layernorm", "post_attention_norm"},
                                     {"pre_feedforward_layernorm", "ffn_norm"},
                                     {"post_feedforward_layernorm", "post_ffw_norm"}};

/// Takes `part` off the front of `text`, or answers false.
bool skip(std::string_view& text, std::string_view part) noexcept {
  if (!text.starts_with(part))
    return false;
  text.remove_prefix(part.size());
  return true;
}

/// What may follow a projection's name.
std::optional<translated_name> of_projection(std::string_view rest, std::string module,
                                             const std::string& gguf) {
  if (rest == ".weight")
    return translated_name{tensor_role::weight, gguf + ".weight", std::move(module), false};
  if (rest == ".weight_scale")
    return translated_name{tensor_role::scale, gguf + ".weight", std::move(module), false};
  if (rest == ".norm.weight" || rest == ".rms_norm.weight")
    return translated_name{tensor_role::weight, gguf + "_norm_in.weight", {}, false};
  if (rest == ".bias") // is refused by name, as in a GGUF file
    return translated_name{tensor_role::weight, gguf + ".bias", {}, false};
  return std::nullopt;
}

std::optional<translated_name> in_layer(std::uint32_t layer, std::string_view rest, bool gemma) {
  for (const auto& [from, to] : modules)
    if (auto after = rest; skip(after, from))
      return of_projection(after, "layers." + std::to_string(layer) + "." + std::string{from},
                           block_name(layer, to));
  if (rest == "self_attn.rotary_emb.inv_freq") // follows from rope_theta
    return translated_name{tensor_role::ignored, {}, {}, false};
  if (!rest.ends_with(".weight"))
    return std::nullopt;
  rest.remove_suffix(std::string_view{".weight"}.size());
  const auto find = [&](const auto& table) -> std::optional<translated_name> {
    for (const auto& [from, to] : table)
      if (rest == from)
        return translated_name{tensor_role::weight, block_name(layer, to) + ".weight", {}, true};
    return std::nullopt;
  };
  auto found = find(norms);
  if (!found)
    found = gemma ? find(gemma_norms) : find(plain_norms);
  return found;
}

} // namespace

std::optional<translated_name> translate_name(std::string_view name, bool gemma) {
  skip(name, "model.");
  if (name == "embed_tokens.weight")
    return translated_name{tensor_role::weight, "token_embd.weight", {}, false};
  if (name == "norm.weight")
    return translated_name{tensor_role::weight, "output_norm.weight", {}, true};
  if (name == "lm_head.weight")
    return translated_name{tensor_role::weight, "output.weight", {}, false};
  if (!skip(name, "layers."))
    return std::nullopt;
  std::uint32_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  if (error != std::errc{} || !skip(name, "."))
    return std::nullopt;
  return in_layer(layer, name, gemma);
}

} // namespace bitnetd::engine::hugging_face
