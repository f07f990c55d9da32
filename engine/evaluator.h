// SPDX-License-Identifier: MIT
#pragma once

#include "engine/forward.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace bitnetd::engine {

struct evaluator_options {
  std::optional<activation_quantization> activations = {}; ///< instead of the model's own
  std::optional<pooling> pool = {};                        ///< instead of the model's own
  kv_type kv = kv_type::f32;
  std::size_t chunk = 128;      ///< prompt tokens of one step
  std::size_t max_tokens = 512; ///< longest sequence, within the model's context: KV memory
  /// Of the last token's logits only the largest is wanted: `best` tells it, and `logits` may not
  /// be called. A screened head then need not read all.
  bool best_only = false;
};

/// One sequence at a time on one node: what offline tools and conformance tests need.
///
///   evaluator eval{loaded.description, loaded.per_node[0], node, best_kernels(), options};
///   eval.feed(tokens);                  // prefill
///   eval.logits();                      // of the last token: draw from it, feed the drawn one, …
///   eval.reset();                       // the next sequence
///
/// Not thread-safe.
class evaluator {
public:
  evaluator(std::shared_ptr<const model> description, std::shared_ptr<const weights> layers,
            compute_node& node, const kernel_table& kernels, const evaluator_options& options);
  ~evaluator();
  evaluator(evaluator&&) noexcept;

  /// Takes the logits [n_vocab] of the token at `position`; the span is valid inside the call.
  using logits_sink = std::function<void(std::size_t position, std::span<const float> logits)>;

  /// Runs `tokens` after those fed so far. `each`, when given, gets the logits of every one of
  /// them, in order; without it only the last token's logits are computed.
  /// Errors   std::invalid_argument: no tokens, an id outside the vocabulary, more than max_tokens.
  void feed(std::span<const token_id> tokens, const logits_sink& each = {});
  /// Logits [n_vocab] of the last token fed. Valid until the next call.
  [[nodiscard]] std::span<const float> logits() const;
  /// The token with the largest logit after the last token fed, ties to the lowest id.
  [[nodiscard]] token_id best() const;
  /// Tokens fed since the last reset.
  [[nodiscard]] std::size_t position() const noexcept;
  /// Forgets the sequence.
  void reset() noexcept;

  /// Embedding [n_embd] of `tokens`, unit length, pooled as the model says (a model without
  /// pooling: its last token). Ends and replaces a sequence in progress. Errors as in `feed`.
  [[nodiscard]] std::vector<float> embed(std::span<const token_id> tokens);

  /// Layer `index` alone on x [tokens, n_embd] from position 0 (teacher forcing); replaces x.
  /// Ends and replaces a sequence in progress.
  void run_layer(std::size_t index, std::span<float> x);

  [[nodiscard]] const telemetry& counters() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace bitnetd::engine
