// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/request_options.h"

#include "clients/bitnetctl/session.h"

#include <CLI/CLI.hpp>

#include <sstream>

namespace bitnetd::ctl {

namespace {

template <class T> void put(json& out, const char* name, const std::optional<T>& value) {
  if (value)
    out[name] = *value;
}
void put(json& out, const char* name, const std::string& value) {
  if (!value.empty())
    out[name] = value;
}

// "no-store,max-age=60,namespace=x,tag=y" as the object of the protocol.
json cache_object(const std::string& text) {
  json out = json::object();
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto equals = part.find('=');
    const auto name = part.substr(0, equals);
    if (equals == std::string::npos) {
      out[name] = true;
      continue;
    }
    const auto value = part.substr(equals + 1);
    if (name == "tag") { // may be repeated
      out["tags"].push_back(value);
      continue;
    }
    const auto number = json::parse(value, nullptr, false);
    out[name] = name != "namespace" && number.is_number() ? number : json(value);
  }
  return out;
}

json meta_object(const std::vector<std::string>& pairs) {
  json out = json::object();
  for (const auto& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos)
      throw bad_input("--meta " + pair + ": expected NAME=VALUE");
    out[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return out;
}

} // namespace

void request_options::add_to(CLI::App& command) {
  command.add_option("-m,--model", model, "name of a model (bitnetctl models)");
  command.add_option("--prefix", prefix, "of embeddings: stands before every text");
  command.add_option("-n,--max-tokens", max_tokens, "most tokens to generate");
  command.add_option("--temperature", temperature, "0 is greedy");
  command.add_option("--top-k", top_k, "draw from the K likeliest tokens");
  command.add_option("--top-p", top_p, "draw from the likeliest tokens with this share");
  command.add_option("--min-p", min_p, "leave out tokens below this share of the likeliest");
  command.add_option("--repetition-penalty", repetition_penalty, "1 is off");
  command.add_option("--seed", seed, "the same seed draws the same answer");
  command.add_option("--stop", stop, "end before this text; may be repeated")
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", ignore_eos, "go on to --max-tokens");
  command.add_option("--class", cls, "interactive, normal, batch or background");
  command.add_option("--deadline-ms", deadline_ms, "the job ends by then");
  command.add_option("--not-before", not_before, "start no earlier (RFC 3339)");
  command.add_option("--ttl-result", ttl_result_s, "seconds to keep the result");
  command.add_option("--quality-retries", quality_retries, "draw again so often");
  command.add_option("--key", key, "idempotency key: the same key is the same job");
  command.add_option("--cache", cache,
                     "directives: no-store, no-cache, only-if-cached, exact-only, allow-sampled, "
                     "explain, max-age=S, max-stale=S, ttl=S, min-confidence=P, namespace=N, "
                     "tag=T (again for more); with commas");
  command.add_option("--meta", meta, "NAME=VALUE, given back; may be repeated")
      ->allow_extra_args(false);
  command.add_flag("--trace", trace, "show what each phase decided");
}

void request_options::put_into(json& body) const {
  json params = json::object();
  put(params, "max_tokens", max_tokens);
  put(params, "temperature", temperature);
  put(params, "top_k", top_k);
  put(params, "top_p", top_p);
  put(params, "min_p", min_p);
  put(params, "repetition_penalty", repetition_penalty);
  put(params, "seed", seed);
  if (!stop.empty())
    params["stop"] = stop;
  if (ignore_eos)
    params["ignore_eos"] = true;
  if (!params.empty())
    body["params"] = std::move(params);
  put(body, "model", model);
  put(body, "prefix", prefix);
  put(body, "class", cls);
  put(body, "deadline_ms", deadline_ms);
  put(body, "not_before", not_before);
  put(body, "ttl_result_s", ttl_result_s);
  put(body, "quality_retries", quality_retries);
  put(body, "key", key);
  if (!cache.empty())
    body["cache"] = cache_object(cache);
  if (!meta.empty())
    body["meta"] = meta_object(meta);
  if (trace)
    body["trace"] = true;
}

} // namespace bitnetd::ctl
