// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "engine/chat_template.h"
#include "engine/errors.h"
#include "engine/kv_type.h"
#include "engine/tensor_type.h"
#include "engine/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

enum class architecture { bitnet_b158, bitnet_25, bitnet, llama, qwen3, gemma3 };
enum class rope_style { half_split, interleaved };
enum class gate_activation { squared_relu, silu, gelu_tanh };
enum class pooling { none, mean, last };

/// What happens to the input of the seven projections of a layer.
enum class activation_quantization { none, absmax };
/// "none" and "absmax"; empty for any other name, such as "model" (what the family was trained
/// with).
[[nodiscard]] std::optional<activation_quantization>
find_activations(std::string_view name) noexcept;

/// The shape of a model, from the file's metadata and tensors, checked against each other.
struct hyperparameters {
  architecture arch{};
  std::string arch_name;
  std::uint32_t n_vocab = 0, n_context = 0, n_embd = 0, n_layer = 0, n_ff = 0;
  std::uint32_t n_head = 0, n_head_kv = 0, head_dim = 0, rope_dims = 0;
  float rms_eps = 1e-5f, rope_theta = 10000.0f, rope_scale = 1.0f; ///< positions / rope_scale
  rope_style rope{};
  gate_activation gate{};
  pooling pool = pooling::none;
  activation_quantization activations = activation_quantization::absmax;
  bool sub_norms = false;   ///< attn_sub_norm and ffn_sub_norm are there
  bool head_norms = false;  ///< attn_q_norm and attn_k_norm, on every head before RoPE
  bool input_norms = false; ///< every projection has a norm of its own input: `*_norm_in`
  bool post_norms = false;  ///< post_attention_norm and post_ffw_norm, before the residual
  float embed_scale = 1.0f; ///< on the looked-up embedding, not on the head
  /// Every n-th layer turns heads by rope_theta, the others by rope_theta_local; 0: all alike.
  std::uint32_t global_layer_every = 0;
  float rope_theta_local = 10000.0f;
  std::uint32_t window = 0; ///< positions that a row of those other layers sees; 0: all
  bool tied_head = true;    ///< no output.weight: the head is token_embd

  [[nodiscard]] std::uint64_t kv_width() const noexcept {
    return std::uint64_t{n_head_kv} * head_dim;
  }
  [[nodiscard]] bool is_global(std::size_t layer) const noexcept {
    return global_layer_every == 0 || (layer + 1) % global_layer_every == 0;
  }
};

/// One tensor as the file has it; `bytes` of payload.
struct tensor_summary {
  std::string name;
  tensor_type type{};
  std::uint64_t rows = 0, cols = 0, bytes = 0;
  double zero_share = 0; ///< of ternary codes; 0 for others
  bool ternary = false;  ///< stored as ternary codes, or float masters that become such at load
};

/// What is known of a model apart from its weights: immutable, shared by all who serve it.
struct model {
  std::filesystem::path path;
  std::string name; ///< general.name, or the file's stem
  hyperparameters shape;
  std::shared_ptr<const tokenizer> words;        ///< nullptr: token ids only
  std::shared_ptr<const chat_template> dialogue; ///< nullptr: no chat without a configured template
  hash128 model_hash;                            ///< over metadata and every tensor's bytes
  hash128 tokenizer_hash;                        ///< over what decides how text becomes ids
  std::vector<tensor_summary> tensors;
  std::uint64_t file_bytes = 0;

  /// Bytes of keys and values of one token: its share of a page.
  [[nodiscard]] std::uint64_t kv_bytes_per_token(kv_type type) const noexcept {
    return std::uint64_t{2} * shape.n_layer * shape.n_head_kv *
           (kv_head_bytes(type, shape.head_dim) / page_tokens);
  }
};

} // namespace bitnetd::engine
