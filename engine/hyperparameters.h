// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model_source.h"
#include "engine/model.h"

#include <string>
#include <vector>

namespace bitnetd::engine {

/// The container is sound, but keys or tensors are missing to make a whole model of it.
class incomplete_model : public load_error {
public:
  using load_error::load_error;
};

/// Reads `general.architecture` and its keys, and looks at the tensor list where the family leaves
/// a choice (sub-norms, own head).
///
/// Bounds   n_layer 1…1024, n_embd and n_ff 1…2^20, n_vocab 1…1,000,000, n_context 1…2^24,
///          n_head 1…1024, head_dim even and <= 1024; head counts divide; every factor is finite.
/// Defaults head_count_kv = head_count, freq_base 10000, dimension_count = head_dim, key and value
///          length = embedding_length / head_count.
/// Activations: absmax, except for architecture `llama` when no projection is ternary or when
///          `general.name` says TriLM (in any case): those were trained with float activations.
/// Errors   load_error naming key and reason; incomplete_model for an absent key.
[[nodiscard]] hyperparameters read_hyperparameters(const model_source& file);

/// One tensor that a model of this shape has. dims as in the file, contiguous dimension first.
struct expected_tensor {
  std::string name;
  std::vector<std::uint64_t> dims;
};

/// Every tensor that a model of this shape must have, in the order of the forward pass.
[[nodiscard]] std::vector<expected_tensor> expected_tensors(const hyperparameters& shape);

/// Compares the file's tensors with `expected_tensors`.
///
/// Norms must be F32, F16 or BF16. A `blk.i.<projection>.scale` of one F32 is accepted for
/// architecture `bitnet`: it multiplies the projection's output.
/// Errors   load_error for a wrong shape, a bias, `rope_freqs.weight`, and any tensor that belongs
///          to none of these (nothing that changes a result is ignored); incomplete_model for
///          missing ones, after all others passed.
void check_tensors(const model_source& file, const hyperparameters& shape);

} // namespace bitnetd::engine
