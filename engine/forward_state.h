// SPDX-License-Identifier: MIT
#pragma once

#include "engine/attention.h"
#include "engine/forward.h"
#include "engine/head_screen.h"
#include "engine/linear.h"
#include "engine/ops.h"
#include "engine/products.h"
#include "engine/weights_layout.h"

#include <array>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <vector>

namespace bitnetd::engine {

/// Of a row that asks for nothing.
constexpr auto no_output = static_cast<std::size_t>(-1);

/// What a forward pass keeps between steps, and the pieces of a step: the step's description
/// (forward.cpp), layers (forward_layer.cpp), the head (forward_head.cpp).
struct forward_pass::state {
  std::shared_ptr<const model> description;
  std::shared_ptr<const weights> all;
  kv_cache& cache;
  compute_context on;
  forward_options options;
  activation_quantization activations;
  const hyperparameters& shape;
  std::size_t q_width, kv_width;
  telemetry counters;

  // What operations keep between calls.
  kv_shape pages;
  attention attend;
  rope_table rope, rope_local;
  /// Inputs of the projections that run together. Where each has a norm of its own, one each;
  /// else all read the first.
  std::array<linear_input, 3> inputs;

  // Activations of a step, [max_rows, width] each; a step uses the first rows.
  node_floats x, q, k, v, heads, gated;
  node_floats projected; ///< where the family normalises a block's result
  node_floats normed;    ///< where projections have norms of their own: what these read
  node_floats outputs;   ///< hidden states after output_norm of the rows that ask
  node_floats logits;    ///< [max_logit_rows, n_vocab]

  // The step itself.
  std::span<const step_row> rows;
  std::vector<std::uint32_t> positions;
  std::vector<std::size_t> output_index; ///< row -> row of `outputs` (and `logits`), or no_output
  std::size_t n_full = 0, n_logits = 0,
              n_outputs = 0; ///< rows of `outputs`: whole, all logits, all
  screened_head screened;
  std::vector<const head_query*> queries;          ///< of rows n_full…n_logits-1
  std::vector<std::optional<head_answer>> answers; ///< [n_logits]; none: all logits are there
  std::size_t n_failed = 0, n_unscreened = 0;      ///< see may_screen
  std::vector<attention_rows> sequences;
  std::vector<const std::byte*> key_blocks, value_blocks; ///< of one layer, all sequences

  state(std::shared_ptr<const model> what, std::shared_ptr<const weights> layers, kv_cache& keys,
        compute_node& node, const kernel_table& kernels, const forward_options& how);

  void begin(std::span<const step_row> step);
  void embed();
  void layer(std::size_t index);
  void attention_block(std::size_t index);
  void ffn_block(std::size_t index);
  void head();
  void whole_head(std::size_t from, std::size_t to);
  void screen_head();
  [[nodiscard]] bool may_screen();

  void norm_heads(std::size_t layer_index, const layer_weights& w);
  void turn_and_store(std::size_t index);
  void find_blocks(std::size_t index);
  void prepare(std::size_t layer_index, std::span<const float> from, std::size_t cols,
               const std::vector<float>& norm,
               std::initializer_list<const std::vector<float>*> own_norms);
  [[nodiscard]] product project(std::size_t layer_index, operation op, const linear& matrix,
                                std::size_t input, node_floats& out);
  void add_to_residual(std::size_t layer_index, operation op, const linear& matrix,
                       const std::vector<float>& post_norm);
  void count_attention(operation_cost& cost, std::size_t window) const;
  /// How many positions a row of this layer sees; 0: all before it.
  [[nodiscard]] std::size_t window_of(std::size_t index) const {
    return shape.is_global(index) ? 0 : shape.window;
  }

  [[nodiscard]] node_floats buffer(std::size_t rows_of_it, std::size_t width) const {
    return node_floats{rows_of_it * width, on.node.where().memory_node};
  }
  /// The first `rows.size()` rows of a buffer.
  [[nodiscard]] std::span<float> used(node_floats& buffer, std::size_t width) const {
    return buffer.all().first(rows.size() * width);
  }

  [[nodiscard]] operation_cost& cost(std::size_t layer_index, operation op) {
    return counters.layers[layer_index][static_cast<std::size_t>(op)];
  }

  /// Runs one operation and adds its time.
  template <class Body> void measured(std::size_t layer_index, operation op, Body&& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    cost(layer_index, op).nanoseconds += static_cast<std::uint64_t>(
        std::chrono::nanoseconds{std::chrono::steady_clock::now() - start}.count());
  }
};

} // namespace bitnetd::engine
