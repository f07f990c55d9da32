// SPDX-License-Identifier: MIT
#pragma once

#include "engine/head_screen.h"
#include "engine/linear.h"
#include "engine/model.h"
#include "engine/weights.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// The weights of one layer. Every projection is ternary or dense, whatever its neighbours are.
struct layer_weights {
  std::vector<float> attn_norm, ffn_norm;
  // Norms that only some families have; empty elsewhere.
  std::vector<float> attn_sub_norm, ffn_sub_norm;
  std::vector<float> q_norm, k_norm; ///< [head_dim]
  std::vector<float> post_attention_norm, post_ffw_norm;
  std::vector<float> q_norm_in, k_norm_in, v_norm_in, attn_output_norm_in; ///< of the input
  std::vector<float> gate_norm_in, up_norm_in, down_norm_in;
  linear q, k, v, attn_output, gate, up, down;
};

/// The weights of one model in the memory of one node. Filled by load_model, then immutable.
class weights {
public:
  linear embedding; ///< [n_vocab, n_embd]
  linear own_head;  ///< no matrix where the head is tied to the embedding
  std::vector<float> output_norm;
  std::vector<layer_weights> layers;

  linear rounded_head;               ///< instead of a tied head, where that was asked for
  std::optional<head_screen> screen; ///< of head()

  [[nodiscard]] const linear& head() const noexcept {
    return rounded_head.rows() > 0 ? rounded_head : own_head.rows() > 0 ? own_head : embedding;
  }
  /// Gives the head its form; a ternary head stays as it is. Parallel; when all is loaded.
  void prepare_head(head_form form, std::optional<int> memory_node, const kernel_table& kernels);
  /// The matrix with a file's tensor name ("blk.0.attn_q.weight", "token_embd.weight", …), or
  /// nullptr.
  [[nodiscard]] const linear* find(std::string_view tensor_name) const noexcept;
  /// Bytes of all matrices as they lie in memory.
  [[nodiscard]] std::uint64_t matrix_bytes() const noexcept;
  /// Whether all matrices lie on the node they were meant for.
  [[nodiscard]] bool bound() const noexcept;

  /// Where the loader puts the tensor with this name: one of both pointers, or none.
  struct place {
    linear* matrix = nullptr;
    std::vector<float>* norm = nullptr;
  };
  [[nodiscard]] place find_place(std::string_view tensor_name) noexcept;
};

} // namespace bitnetd::engine
