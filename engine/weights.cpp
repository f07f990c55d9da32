// SPDX-License-Identifier: MIT
#include "engine/weights_layout.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace bitnetd::engine {

namespace {

constexpr std::pair<std::string_view, linear layer_weights::*> projections[] = {
    {"attn_q", &layer_weights::q},      {"attn_k", &layer_weights::k},
    {"attn_v", &layer_weights::v},      {"attn_output", &layer_weights::attn_output},
    {"ffn_gate", &layer_weights::gate}, {"ffn_up", &layer_weights::up},
    {"ffn_down", &layer_weights::down},
};

constexpr std::pair<std::string_view, std::vector<float> layer_weights::*> norms[] = {
    {"attn_norm", &layer_weights::attn_norm},
    {"attn_sub_norm", &layer_weights::attn_sub_norm},
    {"ffn_norm", &layer_weights::ffn_norm},
    {"ffn_sub_norm", &layer_weights::ffn_sub_norm},
    {"attn_q_norm", &layer_weights::q_norm},
    {"attn_k_norm", &layer_weights::k_norm},
    {"post_attention_norm", &layer_weights::post_attention_norm},
    {"post_ffw_norm", &layer_weights::post_ffw_norm},
    {"attn_q_norm_in", &layer_weights::q_norm_in},
    {"attn_k_norm_in", &layer_weights::k_norm_in},
    {"attn_v_norm_in", &layer_weights::v_norm_in},
    {"attn_output_norm_in", &layer_weights::attn_output_norm_in},
    {"ffn_gate_norm_in", &layer_weights::gate_norm_in},
    {"ffn_up_norm_in", &layer_weights::up_norm_in},
    {"ffn_down_norm_in", &layer_weights::down_norm_in},
};

/// Takes `part` off the front of `text`, or answers false.
bool skip(std::string_view& text, std::string_view part) noexcept {
  if (!text.starts_with(part))
    return false;
  text.remove_prefix(part.size());
  return true;
}

weights::place find_in_layer(layer_weights& layer, std::string_view name) noexcept {
  for (const auto& [known, member] : projections)
    if (name == known)
      return {.matrix = &(layer.*member)};
  for (const auto& [known, member] : norms)
    if (name == known)
      return {.norm = &(layer.*member)};
  return {};
}

} // namespace

std::optional<ternary_form> find_ternary_form(std::string_view name) noexcept {
  if (name == "two_bits")
    return ternary_form::two_bits;
  if (name == "base3")
    return ternary_form::base3;
  return {};
}

weights::place weights::find_place(std::string_view name) noexcept {
  if (!name.ends_with(".weight"))
    return {};
  name.remove_suffix(std::string_view{".weight"}.size());
  if (name == "token_embd")
    return {.matrix = &embedding};
  if (name == "output")
    return {.matrix = &own_head};
  if (name == "output_norm")
    return {.norm = &output_norm};
  std::size_t index = 0;
  if (!skip(name, "blk."))
    return {};
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  name.remove_prefix(static_cast<std::size_t>(end - name.data()));
  if (error != std::errc{} || index >= layers.size() || !skip(name, "."))
    return {};
  return find_in_layer(layers[index], name);
}

void weights::prepare_head(head_form form, std::optional<int> memory_node,
                           const kernel_table& kernels) {
  constexpr std::size_t most_columns = 65536;
  if (!head().is_dense() || head().cols() > most_columns || form == head_form::exact)
    return;
  if (form == head_form::screened) {
    if (head_screen::worthwhile(head().weight_bytes(), head().cols()))
      screen = head_screen::make(head(), memory_node, kernels);
    return;
  }
  auto rounded =
      round_rows(head(), form == head_form::int8 ? packed_bits::eight : packed_bits::four,
                 memory_node, kernels);
  (own_head.rows() > 0 ? own_head : rounded_head) = std::move(rounded);
}

const linear* weights::find(std::string_view tensor_name) const noexcept {
  const auto* matrix = const_cast<weights*>(this)->find_place(tensor_name).matrix; // only read
  return matrix != nullptr && matrix->rows() > 0 ? matrix : nullptr;
}

std::uint64_t weights::matrix_bytes() const noexcept {
  std::uint64_t bytes = embedding.weight_bytes() + own_head.weight_bytes() +
                        rounded_head.weight_bytes() + (screen ? screen->bytes() : 0);
  for (const auto& layer : layers)
    for (const auto& [name, member] : projections)
      bytes += (layer.*member).weight_bytes();
  return bytes;
}

bool weights::bound() const noexcept {
  const auto layer_bound = [](const layer_weights& layer) {
    return std::ranges::all_of(projections, [&](auto& one) { return (layer.*one.second).bound(); });
  };
  return embedding.bound() && (own_head.rows() == 0 || own_head.bound()) &&
         std::ranges::all_of(layers, layer_bound);
}

} // namespace bitnetd::engine
