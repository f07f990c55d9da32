// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model_source.h"
#include "engine/model.h"
#include "engine/payload.h"
#include "engine/weights.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace bitnetd::engine {

/// Puts together the description of a model while its tensors are read, so that every way to load
/// (whole, or description only) makes the same checks and the same model_hash.
///
///   model_builder builder{file, options};              // all checks that need no payload
///   for each tensor i:                                 // in any order, from any thread
///     builder.tensor_read(i, check_payload(file, file.tensors()[i], raw));
///   auto description = builder.finish();               // afterwards, by one thread
///
/// `file` must outlive the builder.
class model_builder {
public:
  /// Checks hyperparameters, tensor list and every shape; builds tokenizer and chat template.
  /// Throws load_error; incomplete_model (hyperparameters.h) where something is only missing.
  model_builder(const model_source& file, const load_options& options);

  [[nodiscard]] const hyperparameters& shape() const noexcept { return model_.shape; }

  /// Notes what a pass over tensor `index` (of file.tensors()) found. Different indexes may come
  /// from different threads at once.
  void tensor_read(std::size_t index, const payload_facts& facts);

  /// The model. With every tensor noted, model_hash covers metadata and payload; with none noted it
  /// stays zero (a description without payload has no identity). Asserts that it is all or none.
  [[nodiscard]] std::shared_ptr<const model> finish();

private:
  const model_source& file_;
  model model_;
  std::optional<activation_quantization> other_activations_; ///< that are not the family's own
  std::vector<payload_facts> facts_;
  std::vector<char> noted_; // one byte each: threads write their own
};

} // namespace bitnetd::engine
