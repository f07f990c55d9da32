// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "engine/chat_template.h"
#include "engine/errors.h"
#include "engine/tensor_type.h"
#include "engine/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bitnetd::engine {

enum class architecture { bitnet_b158, bitnet_25, bitnet, llama };
enum class rope_style { half_split, interleaved };
enum class gate_activation { squared_relu, silu };
enum class pooling { none, mean, last };

/// What happens to the input of the seven projections of a layer.
enum class activation_quantization { none, absmax };

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
  bool sub_norms = false; ///< attn_sub_norm and ffn_sub_norm are there
  bool tied_head = true;  ///< no output.weight: the head is token_embd

  [[nodiscard]] std::uint64_t kv_width() const noexcept {
    return std::uint64_t{n_head_kv} * head_dim;
  }
};

/// One tensor as the file has it; `bytes` of payload.
struct tensor_summary {
  std::string name;
  tensor_type type{};
  std::uint64_t rows = 0, cols = 0, bytes = 0;
  double zero_share = 0; ///< of ternary codes; 0 for others
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

  /// Bytes of keys and values of one token; `bytes_per_value` 4 (f32) or 2 (f16).
  [[nodiscard]] std::uint64_t kv_bytes_per_token(std::uint64_t bytes_per_value) const noexcept {
    return 2 * shape.kv_width() * shape.n_layer * bytes_per_value;
  }
};

} // namespace bitnetd::engine
