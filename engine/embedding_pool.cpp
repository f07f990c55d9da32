// SPDX-License-Identifier: MIT
#include "engine/embedding_pool.h"

#include <algorithm>
#include <cmath>

namespace bitnetd::engine {

embedding_pool::embedding_pool(pooling how, std::size_t n_embd)
    : how_{how == pooling::mean ? pooling::mean : pooling::last}, sum_(n_embd) {}

bool embedding_pool::wants(std::size_t position, std::size_t n_tokens) const noexcept {
  return how_ == pooling::mean || position + 1 == n_tokens;
}

void embedding_pool::add(std::span<const float> hidden) {
  std::transform(sum_.begin(), sum_.end(), hidden.begin(), sum_.begin(),
                 [](double sum, float value) { return sum + double{value}; });
}

// The mean and the sum have the same direction: dividing by the count would change nothing.
std::optional<std::vector<float>> embedding_pool::finish() const {
  double squares = 0;
  for (const double value : sum_)
    squares += value * value;
  if (!std::isfinite(squares) || squares == 0)
    return {};
  const double factor = 1 / std::sqrt(squares);
  std::vector<float> unit(sum_.size());
  std::transform(sum_.begin(), sum_.end(), unit.begin(),
                 [&](double value) { return static_cast<float>(value * factor); });
  return unit;
}

} // namespace bitnetd::engine
