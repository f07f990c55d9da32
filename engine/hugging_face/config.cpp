// SPDX-License-Identifier: MIT
#include "engine/hugging_face/config.h"

#include "engine/printable.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace bitnetd::engine::hugging_face {

namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  return text;
}

/// The class that the folder asks for ("BitNetForCausalLM"), empty when it does not.
std::string class_name(const json_object& config) {
  const auto* names = config.find("architectures");
  return names != nullptr && names->is_array() && !names->empty() && names->front().is_string()
             ? names->front().get<std::string>()
             : std::string{};
}

std::string activation(const json_object& config) {
  auto name = config.text("hidden_act");
  return name ? *name : config.text("hidden_activation").value_or("");
}

/// GGUF's name of the family. The 1bitLLM models call their type "llama" and their class "Bitnet".
std::string architecture_of(const json_object& config) {
  const auto type = config.text("model_type").value_or(""), act = activation(config);
  const bool bitnet = type == "bitnet" || lower(class_name(config)).starts_with("bitnet");
  const auto expect = [&](std::string_view wanted) {
    if (act != wanted)
      config.refuse("hidden_act", printable(act) + " is not supported for this family; expected " +
                                      std::string{wanted});
  };
  if (bitnet) {
    if (act == "relu2")
      return "bitnet-b1.58";
    expect("silu");
    return "bitnet";
  }
  if (type == "llama" || type == "qwen3") {
    expect("silu");
    return type;
  }
  if (type == "gemma3_text") {
    expect("gelu_pytorch_tanh");
    return "gemma3";
  }
  config.refuse("model_type", printable(type) +
                                  " is not supported; supported are bitnet, llama, qwen3 and "
                                  "gemma3_text");
}

/// Things that other models of these types have and ours do not; ignoring them would change
/// results.
void refuse_other_graphs(const json_object& config) {
  for (const auto* key : {"attention_bias", "mlp_bias", "use_sliding_window"})
    if (config.flag(key).value_or(false))
      config.refuse(key, "true is not supported");
  for (const auto* key : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (config.find(key) != nullptr)
      config.refuse(key, "is not supported");
  if (config.number("partial_rotary_factor").value_or(1) != 1)
    config.refuse("partial_rotary_factor", "only 1 is supported");
  if (config.flag("use_bidirectional_attention").value_or(false))
    config.refuse("use_bidirectional_attention", "true is not supported");
}

class translation {
public:
  translation(const json_object& config, model_config& into) : config_{config}, into_{into} {}

  void run() {
    put("general.architecture", into_.architecture);
    if (const auto name = config_.text("_name_or_path"); name && !name->empty())
      put("general.name", *name);
    copy("vocab_size", "vocab_size", 1'000'000);
    copy("max_position_embeddings", "context_length", 1u << 24);
    copy("hidden_size", "embedding_length", 1u << 20);
    copy("num_hidden_layers", "block_count", 1024);
    copy("intermediate_size", "feed_forward_length", 1u << 20);
    copy("num_attention_heads", "attention.head_count", 1024);
    copy("num_key_value_heads", "attention.head_count_kv", 1024, false);
    copy("head_dim", "attention.key_length", 1024, false);
    if (config_.find("head_dim") != nullptr)
      copy("head_dim", "attention.value_length", 1024);
    number("rms_norm_eps", "attention.layer_norm_rms_epsilon");
    rope();
    if (into_.architecture == "gemma3")
      gemma();
  }

private:
  void put(std::string key, gguf_value value) {
    into_.entries.emplace_back(std::move(key), std::move(value));
  }
  [[nodiscard]] std::string key_of(const char* rest) const {
    return into_.architecture + "." + rest;
  }

  void copy(const char* from, const char* to, std::uint64_t most, bool required = true) {
    const auto value = config_.count(from, 1, most);
    if (value)
      put(key_of(to), *value);
    else if (required)
      config_.refuse(from, "is missing");
  }

  void number(const char* from, const char* to) {
    if (const auto value = config_.number(from))
      put(key_of(to), *value);
  }

  /// Base and scaling; since transformers 5 both stand in `rope_parameters`.
  void rope() {
    const auto parameters = config_.object("rope_parameters");
    const auto& at = parameters ? *parameters : config_;
    if (at.find("full_attention") != nullptr)
      return; // per kind of layer: gemma()
    if (const auto base = at.number("rope_theta"))
      put(key_of("rope.freq_base"), *base);
    else if (const auto older = config_.number("rope_theta"))
      put(key_of("rope.freq_base"), *older);
    if (parameters)
      scaling(*parameters);
    else if (const auto old_form = config_.object("rope_scaling"))
      scaling(*old_form);
  }

  void scaling(const json_object& how) {
    const auto type = how.text("rope_type").value_or(how.text("type").value_or("default"));
    if (type == "default")
      return;
    if (type != "linear")
      how.refuse("rope_type", printable(type) + " is not supported; expected default or linear");
    put(key_of("rope.scaling.type"), std::string{"linear"});
    if (const auto factor = how.number("factor"))
      put(key_of("rope.scaling.factor"), *factor);
  }

  /// Layers that see a window only, and the two bases.
  void gemma() {
    const auto head_dim = config_.count("head_dim", 2, 1024);
    const auto scalar = config_.number("query_pre_attn_scalar");
    if (scalar && (!head_dim || *scalar != static_cast<double>(*head_dim)))
      config_.refuse("query_pre_attn_scalar", "only the value of head_dim is supported");
    if (const auto by_layer = config_.object("rope_parameters");
        by_layer && by_layer->find("full_attention") != nullptr) {
      const auto full = by_layer->object("full_attention");
      scaling(*full);
      if (const auto base = full->number("rope_theta"))
        put(key_of("rope.freq_base"), *base);
      if (const auto local = by_layer->object("sliding_attention"))
        if (const auto base = local->number("rope_theta"))
          put(key_of("rope.local.freq_base"), *base);
    }
    number("rope_local_base_freq", "rope.local.freq_base");
    const auto window = config_.count("sliding_window", 0, 1u << 24).value_or(0);
    if (window > 0 && has_windowed_layers())
      put(key_of("attention.sliding_window"), window);
  }

  /// Five layers with a window, then one without; or none at all.
  [[nodiscard]] bool has_windowed_layers() const {
    constexpr std::size_t every = 6;
    for (const auto* key : {"sliding_window_pattern", "_sliding_window_pattern"})
      if (const auto stated = config_.count(key, 1, 1024); stated && *stated != every)
        config_.refuse(key, "only 6 is supported");
    const auto* layers = config_.find("layer_types");
    if (layers == nullptr || !layers->is_array())
      return true; // the family's own pattern
    bool windows = false;
    for (const auto& one : *layers)
      windows = windows || one == "sliding_attention";
    for (std::size_t i = 0; windows && i < layers->size(); ++i)
      if (((i + 1) % every == 0) != ((*layers)[i] == "full_attention"))
        config_.refuse("layer_types", "only every sixth layer may have full attention");
    return windows;
  }

  const json_object& config_;
  model_config& into_;
};

void read_quantization(const json_object& how, model_config& into) {
  const auto method = how.text("quant_method").value_or("");
  if (method != "bitnet")
    how.refuse("quant_method", printable(method) +
                                   " is not supported; use a model without quantization, or one "
                                   "with quant_method bitnet");
  const auto linear = how.text("linear_class").value_or("bitlinear");
  if (linear != "bitlinear" && linear != "autobitlinear")
    how.refuse("linear_class",
               printable(linear) + " is not known; expected bitlinear or autobitlinear");
  const auto mode = how.text("quantization_mode").value_or("offline");
  if (mode != "offline" && mode != "online")
    how.refuse("quantization_mode", printable(mode) + " is not known; expected offline or online");
  into.quantized = into.master_weights = true;
  into.multiply_scale = linear == "autobitlinear";
  const auto* kept = how.find("modules_to_not_convert");
  if (kept == nullptr)
    return;
  if (!kept->is_array())
    how.refuse("modules_to_not_convert", "expected a list of names");
  for (const auto& one : *kept) {
    if (!one.is_string())
      how.refuse("modules_to_not_convert", "expected a list of names");
    into.kept.push_back(one.get<std::string>());
  }
}

} // namespace

bool model_config::is_master(std::string_view module) const {
  return master_weights && std::none_of(kept.begin(), kept.end(), [&](const std::string& part) {
           return !part.empty() && module.find(part) != std::string_view::npos;
         });
}

model_config read_config(const json_object& config, bool input_norms) {
  model_config out;
  out.architecture = architecture_of(config);
  refuse_other_graphs(config);
  out.tied_head = config.flag("tie_word_embeddings");
  out.norms_minus_one = out.architecture == "gemma3";
  out.master_weights = out.architecture.starts_with("bitnet") || input_norms;
  if (const auto how = config.object("quantization_config"))
    read_quantization(*how, out);
  translation{config, out}.run();
  return out;
}

} // namespace bitnetd::engine::hugging_face
