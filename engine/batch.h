// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kv_cache.h"
#include "engine/model.h"
#include "engine/node.h"
#include "engine/sampler.h"
#include "engine/telemetry.h"
#include "engine/weights.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::engine {

/// What an engine call can answer at run time.
enum class status {
  ok,
  batch_full,      ///< no free sequence
  out_of_pages,    ///< the KV pool cannot hold the whole sequence
  prompt_too_long, ///< prompt + new tokens exceed the context
  empty_prompt,
  bad_token, ///< an id outside the vocabulary
  duplicate_id,
};

/// Why a sequence ended.
enum class finish_reason { stop, length, cancelled, numeric };

/// One generation, or one embedding.
struct sequence_request {
  std::uint64_t id = 0;
  /// The prompt, followed by what was generated before (continuation).
  std::vector<token_id> tokens = {};
  std::uint32_t n_generated = 0;    ///< how many of `tokens`, at the end, are generated ones
  std::uint32_t max_new_tokens = 0; ///< counted from the first generated token, old ones included
  sampling_params sampling = {};
  std::vector<std::string> stops = {}; ///< stop strings; the text ends before one
  bool ignore_eos = false;
  bool embedding = false; ///< no token is drawn: the pooled, normalised hidden state is the result
};

/// What one step did for one sequence.
struct sequence_output {
  std::uint64_t id = 0;
  std::vector<token_id> tokens; ///< drawn in this step (an ending stop token is not among them)
  std::string text;             ///< complete UTF-8, held back where a stop string may begin
  bool ended = false;
  finish_reason finish = finish_reason::stop;
  double logprob_sum = 0;       ///< over `tokens`
  std::vector<float> embedding; ///< [n_embd], unit length; of an embedding that ended
};

/// What one step may do.
struct step_limits {
  std::size_t max_tokens = 512;    ///< rows of this step: decode rows first, then prefill
  std::size_t prefill_chunk = 128; ///< most prompt tokens of one sequence in one step
};

/// What one step was.
struct step_report {
  std::vector<sequence_output> outputs;
  std::uint32_t n_decode = 0, n_prefill = 0; ///< rows
  std::uint64_t context_sum = 0;             ///< positions read by attention
  double seconds = 0;
};

struct batch_options {
  std::size_t max_sequences = 16;
  std::size_t kv_pages = 1024; ///< of 32 tokens each
  kv_type kv = kv_type::f16;
  std::size_t max_step_tokens = 512; ///< most rows of a step, whatever step_limits says: buffers
  std::optional<activation_quantization> activations = {}; ///< instead of the model's own
};

/// The sequences in flight on one node, and the steps that move them on. Continuous batching:
/// sequences come and go between steps; every step takes all decodes and fills the rest with
/// prefill chunks. A sequence's output does not depend on what else is in the batch, on chunking
/// or on the number of threads, bit for bit. Not thread-safe: one owner.
class batch {
public:
  batch(std::shared_ptr<const model> description, std::shared_ptr<const weights> layers,
        compute_node& node, const kernel_table& kernels, const batch_options& options);
  ~batch();
  batch(batch&&) noexcept;

  /// Takes a sequence; its pages are reserved for prompt and new tokens at once.
  [[nodiscard]] status admit(sequence_request request);
  /// Ends a sequence; its output (reason cancelled) comes with the next step. Unknown ids: ignored.
  void cancel(std::uint64_t id);
  /// One forward pass over everything in flight.
  [[nodiscard]] step_report step(const step_limits& limits);

  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] std::size_t free_sequences() const noexcept;
  [[nodiscard]] std::size_t free_pages() const noexcept;
  [[nodiscard]] std::size_t pages_needed(std::size_t tokens) const noexcept;
  /// Sums since construction: bytes of weights read, operations, zeros, time per layer.
  [[nodiscard]] const telemetry& counters() const noexcept;
  /// Whether weights and KV memory lie on the node (true where nothing was to be bound).
  [[nodiscard]] bool memory_bound() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace bitnetd::engine
