// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// Collects hidden states of one sequence into its embedding. States are added one by one in order
/// of position, so that the sum does not depend on chunking.
class embedding_pool {
public:
  /// `pooling::none` is taken as `pooling::last`.
  embedding_pool(pooling how, std::size_t n_embd);

  /// Whether the hidden state at `position` of `n_tokens` is needed.
  [[nodiscard]] bool wants(std::size_t position, std::size_t n_tokens) const noexcept;
  void add(std::span<const float> hidden);
  /// The unit vector; empty when a value is not finite or all are zero.
  [[nodiscard]] std::optional<std::vector<float>> finish() const;

private:
  pooling how_;
  std::vector<double> sum_;
};

} // namespace bitnetd::engine
