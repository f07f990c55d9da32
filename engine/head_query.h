// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace bitnetd::engine {

/// Which logits drawing a token needs. `screened_query` (sampler.h) makes one from the parameters.
struct head_query {
  std::size_t best = 1; ///< the this many largest logits, and all that equal the last of them
  /// And all that are not further below the largest one than this.
  float within = 0;
  /// And these rows, ascending, whatever they are (biased and penalized tokens).
  std::vector<std::uint32_t> always = {};
};

/// What a query gave: some logits, exact to the bit, and what is known of all of them together.
struct head_answer {
  /// (token, logit), ascending by token. Every row that the query asks for is among them.
  std::vector<std::pair<std::uint32_t, float>> logits;
  /// log of the sum of exp(logit) over all rows, of their approximations: an estimate.
  double log_sum_estimate = 0;
};

} // namespace bitnetd::engine
