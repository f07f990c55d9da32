// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"
#include "actors/names.h"

#include <nlohmann/json.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

// What these tests keep in the journal: the daemon brings its wire format, here a few lines do.

namespace bitnetd::actors::testing {

/// The body of a request: what decode() below makes a request from.
inline std::string body_of(const request& what) {
  nlohmann::json items = nlohmann::json::array();
  for (const auto& item : what.items)
    items.push_back({{"kind", static_cast<int>(item.kind)},
                     {"text", item.text},
                     {"custom_id", item.custom_id}});
  nlohmann::json out{{"items", items}, {"batch", what.is_batch}, {"model", what.model}};
  if (what.params.max_tokens)
    out["max_tokens"] = *what.params.max_tokens;
  if (what.params.temperature)
    out["temperature"] = *what.params.temperature;
  if (what.params.seed)
    out["seed"] = *what.params.seed;
  return out.dump();
}

inline request_ptr decode(std::string_view principal, std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (json.is_discarded())
    throw std::runtime_error("the stored request is not JSON");
  auto out = std::make_shared<request>();
  out->principal = principal;
  out->body = body;
  out->is_batch = json.at("batch");
  out->model = json.at("model");
  out->durable = true;
  for (const auto& item : json.at("items")) {
    prompt words;
    words.kind = static_cast<job_kind>(item.at("kind").get<int>());
    words.text = item.at("text");
    words.custom_id = item.at("custom_id");
    out->items.push_back(std::move(words));
  }
  if (json.contains("max_tokens"))
    out->params.max_tokens = json["max_tokens"];
  if (json.contains("temperature"))
    out->params.temperature = json["temperature"];
  if (json.contains("seed"))
    out->params.seed = json["seed"];
  return out;
}

inline std::string encode(const reply_result& what) {
  nlohmann::json out{{"job", what.job.text()},  {"state", store::name(what.state)},
                     {"index", what.index},     {"custom_id", what.custom_id},
                     {"attempt", what.attempt}, {"cache", to_string(what.cache.status)}};
  if (what.what)
    out["text"] = what.what->text;
  if (what.error)
    out["error"] = {{"name", what.error->name}, {"msg", what.error->message}};
  for (const auto& item : what.items)
    out["items"].push_back(nlohmann::json::parse(encode(*item)));
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace bitnetd::actors::testing
