// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <string>
#include <variant>
#include <vector>

namespace bitnetd::actors {

/// What a text is to a model, or tokens: `tokenize` and `detokenize`.
struct token_query {
  route reply_to;
  std::string principal, model; ///< model: empty: the first that generates, else the first
  std::string text;
  std::vector<engine::token_id> tokens;
  bool has_tokens = false; ///< they are asked for their text
  std::uint64_t bytes = 0; ///< counted by the front, as a job of so many; the reply releases it
};

/// The body of `tokens` (docs/protocol.md) as JSON text. A text is a user's: what spells a control
/// token stays text, and nothing is put in front, so that the tokens' text is the text again.
/// Failures  E_MODEL: no such model, or one without a tokenizer; E_FIELD: a token it does not have.
[[nodiscard]] std::variant<std::string, failure> tokens_of(const token_query& what,
                                                           const model_set& models);

} // namespace bitnetd::actors
