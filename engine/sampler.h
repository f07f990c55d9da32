// SPDX-License-Identifier: MIT
#pragma once

#include "engine/head_query.h"
#include "engine/tokenizer.h"

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace bitnetd::engine {

/// How the next token is drawn. The defaults are greedy.
struct sampling_params {
  float temperature = 0.0f;        ///< 0 = greedy; [0, 100]
  std::uint32_t top_k = 0;         ///< 0 = off
  float top_p = 1.0f;              ///< (0, 1]
  float min_p = 0.0f;              ///< [0, 1): relative to the most likely token
  float repetition_penalty = 1.0f; ///< > 0; 1 = off; over the last 64 tokens
  std::uint64_t seed = 0;
  std::vector<std::pair<token_id, float>> logit_bias; ///< added to the logit
};

/// One drawn token.
struct sample {
  token_id token = -1; ///< -1: nothing to draw from (NaN or +Inf in the row, or all -Inf)
  /// Log-softmax of the unmodified logits at the token; drawn from a head_answer: an estimate, the
  /// sum being that of the approximations.
  float logprob = 0;
};

/// Draws from `logits` [n_vocab]. The generator is counter-based, keyed by (seed, token_index), so
/// that a continued job draws what it would have drawn. `recent`: the tokens so far.
///
/// In this order, in double:
///   1  bias        l += bias; ids outside the vocabulary are ignored; -Inf bans a token
///   2  penalty     l = l > 0 ? l / penalty : l * penalty, once for each of the last 64 tokens
///   3  temperature 0: the largest l, ties to the lowest id, and done; else l /= temperature
///   4  top-k       the k largest l, ties to the lowest id
///   5  top-p       of those, ordered the same way, the shortest front whose share of their softmax
///                  is at least top_p; never none
///   6  min-p       of those, exp(l - largest l) >= min_p
///   7  draw        the first, by id, whose cumulative softmax over what is left exceeds a uniform
///                  number of [0, 1)
/// Any NaN or +Inf, before or after steps 1 and 2, gives token -1.
[[nodiscard]] sample draw(std::span<const float> logits, const sampling_params& params,
                          std::span<const token_id> recent, std::uint64_t token_index);

/// The same token from some of the logits: those that `screened_query` asks for.
[[nodiscard]] sample draw_screened(const head_answer& logits, const sampling_params& params,
                                   std::span<const token_id> recent, std::uint64_t token_index);

/// The logits that can be drawn with these parameters; empty when that takes all of them: without
/// top-k, sampling needs either min-p alone or the whole sum.
[[nodiscard]] std::optional<head_query> screened_query(const sampling_params& params,
                                                       std::span<const token_id> recent);

} // namespace bitnetd::engine
