// SPDX-License-Identifier: MIT
#pragma once

#include "engine/head_query.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kv_cache.h"
#include "engine/model.h"
#include "engine/node.h"
#include "engine/telemetry.h"
#include "engine/weights.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

namespace bitnetd::engine {

/// What is wanted of a row beyond its keys and values.
enum class row_output : std::uint8_t {
  none,   ///< nothing: a prompt token that is not the last
  logits, ///< the head's result
  hidden, ///< the last layer's result after output_norm, for embeddings
};

/// One token of one sequence in a step.
struct step_row {
  token_id token = 0;
  std::uint32_t position = 0;     ///< from 0 in its sequence
  std::span<const page_id> pages; ///< of its sequence; must hold `position`
  row_output output = row_output::none;
  /// With `logits`: which of them are needed; nullptr: all. Must live as long as the run.
  const head_query* query = nullptr;
};

struct forward_options {
  std::optional<activation_quantization> activations = {}; ///< instead of the model's own
  std::size_t max_rows = 512;      ///< most rows of one run; all buffers have this size
  std::size_t max_logit_rows = 64; ///< most rows with output `logits` in one run
};

/// The forward pass of one model on one node: one step over rows of one or several sequences.
///
///   x      = E[token] [* embed_scale]
///   n      = RMS_attn(x)                        q, k, v = BL_q n, BL_k n, BL_v n
///   q, k   = rope([RMS_q per head] q), rope([RMS_k per head] k)
///   h      = x + [RMS_post] BL_o( [RMS_attn_sub] Attn(q, K, V) )
///   m      = RMS_ffn(h)
///   x'     = h + [RMS_post] BL_down( [RMS_ffn_sub] gate(BL_gate m) * BL_up m )   for each layer
///   logits = H · RMS_out(x)                     H = output.weight, or E where the head is tied
///
/// gate is relu², SiLU or GELU (tanh); what stands in brackets is there where the family has it.
/// BL(·) is a projection of any storage type, of `[RMS_in]` its input where it has a norm of its
/// own; with activation quantization `absmax` its input is rounded to int8 per token
/// first (dense projections too), never that of the embedding or the head.
///
/// A row's results depend only on the tokens of its sequence up to it, the KV type and the kernel
/// table: every float sum has a fixed order, and attention always reads keys and values back from
/// pages. So chunking, batch composition and threads change no bit.
///
/// All buffers are allocated once, for `max_rows`. Not thread-safe: one caller at a time.
/// Source: Ma et al. 2024, arXiv:2402.17764; Touvron et al. 2023, arXiv:2302.13971.
class forward_pass {
public:
  /// `cache` and `node` must outlive the pass; `cache` must be of the same model.
  forward_pass(std::shared_ptr<const model> description, std::shared_ptr<const weights> layers,
               kv_cache& cache, compute_node& node, const kernel_table& kernels,
               const forward_options& options = {});
  ~forward_pass();
  forward_pass(forward_pass&&) noexcept;

  /// Runs one step: writes the keys and values of every row to its page and computes what each row
  /// asks for.
  ///
  /// Requires 1 <= rows.size() <= max_rows; rows of one sequence stand together, in order of
  ///          position, all earlier positions being in this run or in the cache; tokens in the
  ///          vocabulary; rows with logits <= max_logit_rows. Our own callers: asserted.
  /// Errors   none. A value that is not finite shows in the logits or the hidden state of the
  ///          sequences that are concerned, in no other.
  ///
  /// `then`, when given, is called at the end of the step, results being there and the node's
  /// helper threads still at hand: for_chunks is parallel inside it.
  void run(std::span<const step_row> rows, const std::function<void()>& then = {});

  /// The answer to the query of row `row` of the last run; nullptr when all logits are there (no
  /// query, no screened head, or too many rows to read). Valid until the next run.
  [[nodiscard]] const head_answer* answer(std::size_t row) const;
  /// Logits [n_vocab] of row `row` of the last run, which asked for them and has no answer to a
  /// query. Valid until the next run.
  [[nodiscard]] std::span<const float> logits(std::size_t row) const;
  /// Hidden state [n_embd] after output_norm of row `row` of the last run, which asked for it.
  [[nodiscard]] std::span<const float> hidden(std::size_t row) const;

  /// Layer `index` alone (teacher forcing): x [rows.size(), n_embd] is replaced by the layer's
  /// output; keys and values go to the rows' pages. Tokens and outputs of the rows are not used.
  void run_layer(std::size_t index, std::span<const step_row> rows, std::span<float> x);

  [[nodiscard]] activation_quantization activations() const noexcept;
  [[nodiscard]] std::size_t max_rows() const noexcept;
  /// Sums since construction: time, bytes, operations and zeros per layer and operation.
  [[nodiscard]] const telemetry& counters() const noexcept;
  /// To add what callers do with the results (operation `sample`).
  [[nodiscard]] telemetry& counters() noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace bitnetd::engine
