// SPDX-License-Identifier: MIT
#include "daemon/wire_replies.h"

#include <nlohmann/json.hpp>

#include <array>
#include <charconv>
#include <cmath>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

std::string text_of(const json& body) {
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Clocks know microseconds at best: three digits of a millisecond are all there is to tell.
double ms(double value) { return std::isfinite(value) ? std::round(value * 1000) / 1000 : 0; }

// The double whose shortest digits are the float's: 0.1, not 0.10000000149011612.
double shortest(float value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  double out = 0;
  std::from_chars(digits.data(), end, out);
  return out;
}

template <class T> void put(json& out, const char* name, const std::optional<T>& value) {
  if (value)
    out[name] = *value;
}
void put(json& out, const char* name, const std::string& value) {
  if (!value.empty())
    out[name] = value;
}

json body_of(const cache_block& cache) {
  json out{{"status", cache.status}, {"stored", cache.stored}};
  put(out, "tier", cache.tier);
  put(out, "reason", cache.reason);
  put(out, "similarity", cache.similarity);
  put(out, "confidence", cache.confidence);
  put(out, "wrong_bound", cache.wrong_bound);
  put(out, "veto", cache.veto);
  if (!cache.explanation.empty())
    out["explain"] = json::parse(cache.explanation);
  put(out, "age_s", cache.age_s);
  put(out, "ttl_s", cache.ttl_s);
  if (cache.entry != 0)
    out["entry"] = std::to_string(cache.entry); // more than 53 bits: not every reader has numbers
  if (cache.saved_ms > 0)
    out["saved_ms"] = ms(cache.saved_ms);
  return out;
}

json body_of(const std::vector<trace_line>& trace) {
  json out = json::array();
  for (const auto& line : trace)
    out.push_back({{"phase", line.phase},
                   {"started_us", line.started_us},
                   {"took_us", line.took_us},
                   {"decision", line.decision}});
  return out;
}

json body_of(const error& what) {
  const auto& kind = error_with_code(what.code);
  json out{{"code", what.code},
           {"name", what.name.empty() ? std::string(kind.name) : what.name},
           {"msg", what.message},
           {"retry", kind.retry}};
  put(out, "field", what.field);
  put(out, "limit", what.limit);
  put(out, "retry_after_ms", what.retry_after_ms);
  put(out, "job", what.job);
  put(out, "state", what.state);
  if (what.cache)
    out["cache"] = body_of(*what.cache);
  if (!what.trace.empty())
    out["trace"] = body_of(what.trace);
  return out;
}

// What only an answer has.
void put_answer(json& out, const result& what) {
  if (what.embedding.empty()) {
    out["text"] = what.text;
  } else {
    auto& vector = out["embedding"] = json::array();
    for (const float x : what.embedding)
      vector.push_back(shortest(x));
  }
  put(out, "finish", what.finish);
  out["usage"] = {{"prompt", what.prompt_tokens},
                  {"cached", what.cached_tokens},
                  {"completion", what.completion_tokens}};
  if (what.mean_logprob && std::isfinite(*what.mean_logprob))
    out["mean_logprob"] = *what.mean_logprob;
  if (!what.failed_checks.empty())
    out["failed_checks"] = what.failed_checks;
}

json body_of(const result& what) {
  json out{{"job", what.job}, {"state", what.state}, {"attempt", what.attempt}};
  if (what.has_answer)
    put_answer(out, what);
  out["timing"] = {{"queue_ms", ms(what.queue_ms)},
                   {"prefill_ms", ms(what.prefill_ms)},
                   {"decode_ms", ms(what.decode_ms)},
                   {"ttft_ms", ms(what.first_token_ms)},
                   {"total_ms", ms(what.total_ms)}};
  put(out, "model", what.model);
  put(out, "profile", what.profile);
  put(out, "custom_id", what.custom_id);
  put(out, "index", what.index);
  out["config_version"] = what.config_version;
  if (!what.meta.empty())
    out["meta"] = what.meta;
  if (!what.trace.empty())
    out["trace"] = body_of(what.trace);
  if (what.error)
    out["error"] = body_of(*what.error);
  if (!what.is_batch) {
    put(out, "model_hash", what.model_hash);
    out["seed"] = what.seed;
    out["cache"] = body_of(what.cache);
    return out;
  }
  out["items"] = json::array();
  for (const auto& item : what.items)
    out["items"].push_back(body_of(item));
  return out;
}

} // namespace

error::error(const refusal& why)
    : code(why.kind.code), name(why.kind.name), message(why.message), field(why.field),
      limit(why.limit), retry_after_ms(why.retry_after_ms) {}

std::string encode(const welcome& what) {
  json out{{"ver", 1},
           {"server", what.server},
           {"epoch", what.epoch},
           {"role", what.role},
           {"principal", what.principal},
           {"state", what.state},
           {"models", what.models},
           {"hb_ms", what.heartbeat_ms},
           {"limits",
            {{"body", what.body_bytes},
             {"frame", what.frame_bytes},
             {"max_tokens", what.max_tokens},
             {"batch_items", what.batch_items},
             {"open_jobs", what.open_jobs},
             {"open_bytes", what.open_bytes}}}};
  put(out, "events", what.events);
  return text_of(out);
}

std::string encode(const pong& what) {
  json out{{"epoch", what.epoch}, {"state", what.state}};
  if (!what.t.empty())
    out["t"] = json::parse(what.t);
  return text_of(out);
}

std::string encode(const accepted& what) {
  json out{{"job", what.job},
           {"durable", what.durable},
           {"fsync", what.fsync},
           {"dup", what.duplicate},
           {"epoch", what.epoch}};
  if (what.children > 0)
    out["children"] = what.children;
  put(out, "part", what.part);
  put(out, "pos", what.position);
  if (what.eta_ms)
    out["eta_ms"] = ms(*what.eta_ms);
  return text_of(out);
}

std::string encode(const delta& what) {
  return text_of({{"job", what.job},
                  {"seq", what.seq},
                  {"off", what.offset},
                  {"text", what.text},
                  {"n", what.n_tokens}});
}

std::string encode(const error& what) { return text_of(body_of(what)); }

std::string encode(const result& what) { return text_of(body_of(what)); }

std::string encode(const goodbye& what) {
  return text_of({{"why", what.why}, {"resume", what.resume}});
}

} // namespace bitnetd::wire
