// SPDX-License-Identifier: MIT
#include "daemon/wire_submit.h"

#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <ctime>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

template <class T> void put(json& out, const char* name, const std::optional<T>& value) {
  if (value)
    out[name] = *value;
}
void put(json& out, const char* name, bool value) {
  if (value)
    out[name] = true;
}
void put(json& out, const char* name, const std::string& value) {
  if (!value.empty())
    out[name] = value;
}
void put_object(json& out, const char* name, json value) {
  if (!value.empty())
    out[name] = std::move(value);
}

std::string time_text(wall_time t) {
  const auto us = to_wall_us(t);
  const std::time_t seconds = us / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const auto fraction = std::to_string(1'000'000 + us % 1'000'000).substr(1);
  return std::string(date.data()) + '.' + fraction + 'Z';
}

void put_prompt(json& out, const prompt& what) {
  switch (what.kind) {
  case prompt_kind::completion:
    out["prompt"] = what.text;
    return;
  case prompt_kind::embedding:
    out["input"] = what.text;
    return;
  case prompt_kind::chat:
    out["messages"] = json::array();
    for (const auto& message : what.messages)
      out["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
}

json encode(const sampling& params) {
  json out = json::object();
  put(out, "max_tokens", params.max_tokens);
  put(out, "temperature", params.temperature);
  put(out, "top_k", params.top_k);
  put(out, "top_p", params.top_p);
  put(out, "min_p", params.min_p);
  put(out, "repetition_penalty", params.repetition_penalty);
  put(out, "seed", params.seed);
  put(out, "ignore_eos", params.ignore_eos);
  if (!params.stop.empty())
    out["stop"] = params.stop;
  for (const auto& [token, bias] : params.logit_bias)
    out["logit_bias"][std::to_string(token)] = bias;
  return out;
}

json encode(const cache_directives& cache) {
  json out = json::object();
  put(out, "no-store", cache.no_store);
  put(out, "no-cache", cache.no_cache);
  put(out, "only-if-cached", cache.only_if_cached);
  put(out, "exact-only", cache.exact_only);
  put(out, "allow-sampled", cache.allow_sampled);
  put(out, "namespace", cache.name_space);
  put(out, "explain", cache.explain);
  if (!cache.tags.empty())
    out["tags"] = cache.tags;
  put(out, "max-age", cache.max_age_s);
  put(out, "max-stale", cache.max_stale_s);
  put(out, "stale-while-revalidate", cache.stale_while_revalidate_s);
  put(out, "ttl", cache.ttl_s);
  put(out, "min-confidence", cache.min_confidence);
  return out;
}

} // namespace

json encode_submit(const submit& what) {
  constexpr std::array modes{"sync", "stream", "job"};
  constexpr std::array classes{"interactive", "normal", "batch", "background"};
  json out = json::object();
  if (what.is_batch) {
    out["items"] = json::array();
    for (const auto& item : what.items) {
      json one = json::object();
      put_prompt(one, item);
      put(one, "custom_id", item.custom_id);
      out["items"].push_back(std::move(one));
    }
  } else {
    put_prompt(out, what.items.at(0));
  }
  put(out, "job", what.job);
  put(out, "more", what.more);
  put(out, "part", what.part);
  put(out, "model", what.model);
  put(out, "prefix", what.prefix);
  put_object(out, "params", encode(what.params));
  if (what.mode != mode::job)
    out["mode"] = modes[static_cast<std::size_t>(what.mode)];
  if (what.wait_result)
    out["wait"] = "result";
  put(out, "durable", what.durable);
  put(out, "key", what.key);
  if (what.cls)
    out["class"] = classes[static_cast<std::size_t>(*what.cls)];
  put(out, "deadline_ms", what.deadline_ms);
  if (what.deadline)
    out["deadline"] = time_text(*what.deadline);
  if (what.not_before)
    out["not_before"] = time_text(*what.not_before);
  put(out, "ttl_result_s", what.ttl_result_s);
  put(out, "quality_retries", what.quality_retries);
  if (what.cancel_on_disconnect)
    out["on_disconnect"] = *what.cancel_on_disconnect ? "cancel" : "keep";
  put_object(out, "cache", encode(what.cache));
  put(out, "credit", what.credit);
  put_object(out, "meta", what.meta);
  put(out, "trace", what.trace);
  return out;
}

} // namespace bitnetd::wire
