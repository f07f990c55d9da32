// SPDX-License-Identifier: MIT
#include "engine/hyperparameters.h"

#include "base/log.h"
#include "engine/printable.h"
#include "engine/tensor_names.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace bitnetd::engine {

namespace {

struct family {
  std::string_view name;
  architecture arch;
  rope_style rope;
  gate_activation gate;
  bool needs_sub_norms; ///< otherwise decided by the tensors present
  bool head_norms = false, post_norms = false, scales_embedding = false;
};

constexpr family families[] = {
    {"bitnet-b1.58", architecture::bitnet_b158, rope_style::half_split,
     gate_activation::squared_relu, true},
    {"bitnet-25", architecture::bitnet_25, rope_style::half_split, gate_activation::squared_relu,
     true},
    {"bitnet", architecture::bitnet, rope_style::half_split, gate_activation::silu, false},
    {"llama", architecture::llama, rope_style::interleaved, gate_activation::silu, false},
    {"qwen3", architecture::qwen3, rope_style::half_split, gate_activation::silu, false, true},
    {"gemma3", architecture::gemma3, rope_style::half_split, gate_activation::gelu_tanh, false,
     true, true, true},
};

/// Reads the keys of one file under its architecture's prefix, each within its bounds.
class key_reader {
public:
  explicit key_reader(const model_source& file) : file_{file} {}

  void set_prefix(std::string_view arch) { prefix_ = std::string{arch} + "."; }

  [[nodiscard]] std::optional<std::uint32_t> optional_count(std::string_view key, std::uint64_t low,
                                                            std::uint64_t high) const {
    const auto value = file_.get_count(prefix_ + std::string{key});
    if (!value)
      return std::nullopt;
    if (*value < low || *value > high)
      refuse(key, "expected a whole number from " + std::to_string(low) + " to " +
                      std::to_string(high) + ", the file has " + std::to_string(*value));
    return static_cast<std::uint32_t>(*value);
  }

  [[nodiscard]] std::uint32_t count(std::string_view key, std::uint64_t low,
                                    std::uint64_t high) const {
    const auto value = optional_count(key, low, high);
    if (!value)
      throw incomplete_model{file_.path().string() + ": no whole model: key " +
                             printable(prefix_ + std::string{key}) + " is missing"};
    return *value;
  }

  [[nodiscard]] float number(std::string_view key, float fallback, double low, double high) const {
    const auto value = file_.get_float(prefix_ + std::string{key});
    if (!value)
      return fallback;
    if (!(*value >= low && *value <= high)) // NaN too
      refuse(key, "expected a number from " + std::to_string(low) + " to " + std::to_string(high) +
                      ", the file has " + std::to_string(*value));
    return static_cast<float>(*value);
  }

  [[nodiscard]] std::optional<std::string> text(std::string_view key) const {
    return file_.get_string(prefix_ + std::string{key});
  }

  [[noreturn]] void refuse(std::string_view key, const std::string& what) const {
    throw load_error{file_.path().string() + ": key " + printable(prefix_ + std::string{key}) +
                     ": " + what};
  }

private:
  const model_source& file_;
  std::string prefix_;
};

const family& read_family(const model_source& file) {
  const auto name = file.get_string("general.architecture");
  if (!name)
    throw incomplete_model{file.path().string() +
                           ": no whole model: key 'general.architecture' is missing"};
  if (file.tensors().empty())
    throw incomplete_model{file.path().string() +
                           ": no whole model: it has no tensors (a vocabulary only)"};
  for (const auto& known : families)
    if (known.name == *name)
      return known;
  std::string known_names;
  for (const auto& known : families)
    known_names += (known_names.empty() ? "" : ", ") + std::string{known.name};
  throw load_error{file.path().string() + ": architecture " + printable(*name) +
                   " is not supported; supported are " + known_names};
}

void read_rope(const key_reader& keys, hyperparameters& shape) {
  shape.rope_dims =
      keys.optional_count("rope.dimension_count", 2, shape.head_dim).value_or(shape.head_dim);
  if (shape.rope_dims % 2 != 0)
    keys.refuse("rope.dimension_count", "expected an even number");
  shape.rope_theta = keys.number("rope.freq_base", 10000.0f, 1.0, 1e12);
  // A factor without a type means linear scaling to the converters that leave the type out.
  const auto scaling = keys.text("rope.scaling.type").value_or("linear");
  if (scaling == "linear")
    shape.rope_scale = keys.number("rope.scaling.factor", 1.0f, 1e-3, 1e6);
  else if (scaling != "none")
    keys.refuse("rope.scaling.type", "RoPE scaling " + printable(scaling) +
                                         " is not supported; expected none or linear");
}

/// Keys of other models of the same architecture that change the graph.
void refuse_other_graphs(const model_source& file, const key_reader& keys, std::string_view arch) {
  for (const std::string_view key :
       {"expert_count", "attention.scale", "attention.clamp_kqv", "embedding_scale",
        "residual_scale", "logit_scale", "attn_logit_softcapping", "final_logit_softcapping",
        "rope.scale_linear", "tensor_data_layout"}) {
    const auto* value = file.find(std::string{arch} + "." + std::string{key});
    const auto* count = value == nullptr ? nullptr : std::get_if<std::uint64_t>(value);
    if (value != nullptr && (count == nullptr || *count != 0))
      keys.refuse(key, "is not supported; ignoring it would change the results");
  }
}

/// Gemma 3 lets five of six layers see a window only, and turns their heads by a base of their own.
void read_window(const key_reader& keys, hyperparameters& shape) {
  const auto window = keys.optional_count("attention.sliding_window", 0, 1u << 24).value_or(0);
  if (window == 0)
    return;
  if (shape.arch != architecture::gemma3)
    keys.refuse("attention.sliding_window",
                "is not supported; ignoring it would change the results");
  shape.global_layer_every = 6;
  shape.rope_theta_local = keys.number("rope.local.freq_base", 10000.0f, 1.0, 1e12);
  shape.window = window;
}

pooling read_pooling(const model_source& file, const key_reader& keys,
                     const hyperparameters& shape) {
  const auto stated = keys.optional_count("pooling_type", 0, 4);
  const bool embeds = shape.arch == architecture::qwen3 || shape.arch == architecture::gemma3;
  if (embeds && shape.input_norms && stated.value_or(0) <= 1) {
    // The converter of the BitNet embedding models falls back to mean when it does not find the
    // file that says last: the models were trained with last.
    if (stated == 1u)
      log::warn("{}: key {}: 1 (mean) is a known slip of the converter for BitNet embedding "
                "models; taking 3 (last token)",
                file.path().string(), shape.arch_name + ".pooling_type");
    return pooling::last;
  }
  switch (stated.value_or(0)) {
  case 0:
    return pooling::none;
  case 1:
    return pooling::mean;
  case 3:
    return pooling::last;
  default:
    keys.refuse("pooling_type", "only 0 (none), 1 (mean) and 3 (last token) are supported");
  }
}

/// The vocabulary's size is told three times; all that are present must agree.
std::uint32_t read_vocab(const model_source& file, const key_reader& keys) {
  constexpr std::uint64_t most = 1'000'000;
  const auto* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr)
    throw incomplete_model{file.path().string() +
                           ": no whole model: tensor 'token_embd.weight' is missing"};
  const std::uint64_t rows = embedding->rows();
  if (rows > most)
    throw load_error{file.path().string() +
                     ": tensor 'token_embd.weight': " + std::to_string(rows) + " tokens; at most " +
                     std::to_string(most) + " are supported"};
  if (const auto stated = keys.optional_count("vocab_size", 1, most); stated && *stated != rows)
    keys.refuse("vocab_size", std::to_string(*stated) + " tokens, but token_embd.weight has " +
                                  std::to_string(rows) + " rows");
  const auto* tokens = file.get_strings("tokenizer.ggml.tokens");
  if (tokens != nullptr && tokens->size() != rows)
    throw load_error{file.path().string() +
                     ": key 'tokenizer.ggml.tokens': " + std::to_string(tokens->size()) +
                     " tokens, but token_embd.weight has " + std::to_string(rows) + " rows"};
  return static_cast<std::uint32_t>(rows);
}

void read_heads(const key_reader& keys, hyperparameters& shape) {
  shape.n_head = keys.count("attention.head_count", 1, 1024);
  shape.n_head_kv = keys.optional_count("attention.head_count_kv", 1, 1024).value_or(shape.n_head);
  if (shape.n_head % shape.n_head_kv != 0)
    keys.refuse("attention.head_count_kv", std::to_string(shape.n_head_kv) +
                                               " does not divide the head count " +
                                               std::to_string(shape.n_head));
  const auto key_length = keys.optional_count("attention.key_length", 2, 1024);
  if (!key_length && shape.n_embd % shape.n_head != 0)
    keys.refuse("attention.head_count", std::to_string(shape.n_head) +
                                            " does not divide the embedding length " +
                                            std::to_string(shape.n_embd));
  shape.head_dim = key_length.value_or(shape.n_embd / shape.n_head);
  if (shape.head_dim < 2 || shape.head_dim > 1024 || shape.head_dim % 2 != 0)
    keys.refuse("attention.head_count", "heads of " + std::to_string(shape.head_dim) +
                                            " values; expected an even number from 2 to 1024");
  const auto value_length = keys.optional_count("attention.value_length", 2, 1024);
  if (value_length.value_or(shape.head_dim) != shape.head_dim)
    keys.refuse("attention.value_length", "differs from the key length " +
                                              std::to_string(shape.head_dim) +
                                              ", which is not supported");
}

bool any_ternary_projection(const model_source& file, std::uint32_t n_layer) {
  for (std::uint32_t layer = 0; layer < n_layer; ++layer)
    for (const auto projection : projections) {
      const auto* tensor = file.find_tensor(block_name(layer, projection) + ".weight");
      if (tensor != nullptr && (info(tensor->type).ternary || tensor->ternarise))
        return true;
    }
  return false;
}

activation_quantization default_activations(const model_source& file,
                                            const hyperparameters& shape) {
  if (shape.arch != architecture::llama)
    return activation_quantization::absmax;
  // TriLM was trained with float activations, Llama3-8B-1.58 and Falcon3 with int8 ones; nothing
  // but the name tells them apart.
  auto name = file.get_string("general.name").value_or("");
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  const bool trilm = name.find("trilm") != std::string::npos;
  return any_ternary_projection(file, shape.n_layer) && !trilm ? activation_quantization::absmax
                                                               : activation_quantization::none;
}

} // namespace

hyperparameters read_hyperparameters(const model_source& file) {
  const auto& known = read_family(file);
  key_reader keys{file};
  keys.set_prefix(known.name);
  hyperparameters shape;
  shape.arch = known.arch;
  shape.arch_name = known.name;
  refuse_other_graphs(file, keys, known.name);
  shape.rope = file.has_permuted_rope() ? known.rope : rope_style::half_split;
  shape.gate = known.gate;
  shape.n_vocab = read_vocab(file, keys);
  shape.n_context = keys.count("context_length", 1, 1u << 24);
  shape.n_embd = keys.count("embedding_length", 1, 65'536);
  shape.n_layer = keys.count("block_count", 1, 1024);
  shape.n_ff = keys.count("feed_forward_length", 1, 1u << 20);
  read_heads(keys, shape);
  read_rope(keys, shape);
  shape.rms_eps = keys.number("attention.layer_norm_rms_epsilon", 1e-5f, 0.0, 1.0);
  shape.head_norms = known.head_norms;
  shape.post_norms = known.post_norms;
  shape.input_norms = file.find_tensor("blk.0.attn_q_norm_in.weight") != nullptr;
  shape.embed_scale = known.scales_embedding ? std::sqrt(static_cast<float>(shape.n_embd)) : 1.0f;
  read_window(keys, shape);
  shape.pool = read_pooling(file, keys, shape);
  shape.sub_norms = known.needs_sub_norms ||
                    file.find_tensor("blk.0.attn_sub_norm.weight") != nullptr ||
                    file.find_tensor("blk.0.ffn_sub_norm.weight") != nullptr;
  shape.tied_head = file.find_tensor("output.weight") == nullptr;
  shape.activations = default_activations(file, shape);
  return shape;
}

} // namespace bitnetd::engine
