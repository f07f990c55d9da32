// SPDX-License-Identifier: MIT
#include "actors/token_query.h"

#include "actors/errors.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bitnetd::actors {

namespace {

model_handle wanted_model(const token_query& what, const model_set& models) {
  const auto found = std::ranges::find_if(*models, [&](const model_handle& model) {
    return what.model.empty() ? !model->embedding : model->name == what.model;
  });
  if (found != models->end())
    return *found;
  return what.model.empty() && !models->empty() ? models->front() : nullptr;
}

std::optional<failure> unknown_token(const token_query& what, const engine::tokenizer& words) {
  for (std::size_t i = 0; i < what.tokens.size(); ++i)
    if (static_cast<std::size_t>(what.tokens[i]) >= words.size())
      return bad_field("tokens[" + std::to_string(i) + ']',
                       "token " + std::to_string(what.tokens[i]) +
                           " is not in the vocabulary, which has " + std::to_string(words.size()));
  return std::nullopt;
}

} // namespace

std::variant<std::string, failure> tokens_of(const token_query& what, const model_set& models) {
  const auto model = wanted_model(what, models);
  if (!model)
    return no_model(what.model.empty() ? "no model is loaded"
                                       : "no model \"" + what.model + "\" is loaded");
  if (!model->description->words)
    return no_model("model " + model->name + " has no tokenizer");
  const auto& words = *model->description->words;
  if (auto why = unknown_token(what, words))
    return std::move(*why);
  const auto tokens = what.has_tokens ? what.tokens : words.encode(what.text, false, false);
  // Tokens need not be whole characters: what is not UTF-8 is told as U+FFFD.
  return nlohmann::json{{"model", model->name},
                        {"tokens", tokens},
                        {"n", tokens.size()},
                        {"text", what.has_tokens ? words.decode(tokens) : what.text}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace bitnetd::actors
