// SPDX-License-Identifier: MIT
#include "daemon/wire_replies.h"

#include "daemon/wire_json_text.h"

#include <cmath>
#include <string>
#include <string_view>

namespace bitnetd::wire {

namespace {

// Clocks know microseconds at best: three digits of a millisecond are all there is to tell.
double ms(double value) { return std::isfinite(value) ? std::round(value * 1000) / 1000 : 0; }

void write(json_text& out, const cache_block& cache) {
  out.begin_object().field("status", cache.status).field("stored", cache.stored);
  out.field_if_any("tier", cache.tier).field_if_any("reason", cache.reason);
  out.field("similarity", cache.similarity).field("confidence", cache.confidence);
  out.field("wrong_bound", cache.wrong_bound).field_if_any("veto", cache.veto);
  if (!cache.explanation.empty())
    out.name("explain").raw(cache.explanation);
  out.field("age_s", cache.age_s).field("ttl_s", cache.ttl_s);
  if (cache.entry != 0) // more than 53 bits: not every reader has numbers
    out.field("entry", std::to_string(cache.entry));
  if (cache.saved_ms > 0)
    out.field("saved_ms", ms(cache.saved_ms));
  out.end_object();
}

void write(json_text& out, const std::vector<trace_line>& trace) {
  out.begin_array();
  for (const auto& line : trace) {
    out.begin_object().field("phase", line.phase).field("started_us", line.started_us);
    out.field("took_us", line.took_us).field("decision", line.decision).end_object();
  }
  out.end_array();
}

void write(json_text& out, const error& what) {
  const auto& kind = error_with_code(what.code);
  out.begin_object().field("code", what.code);
  out.field("name", what.name.empty() ? kind.name : std::string_view(what.name));
  out.field("msg", what.message).field("retry", kind.retry).field_if_any("field", what.field);
  out.field("limit", what.limit).field("retry_after_ms", what.retry_after_ms);
  out.field_if_any("job", what.job).field_if_any("state", what.state);
  if (what.cache)
    write(out.name("cache"), *what.cache);
  if (!what.trace.empty())
    write(out.name("trace"), what.trace);
  out.end_object();
}

// What only an answer has.
void write_answer(json_text& out, const result& what) {
  if (what.embedding.empty()) {
    out.field("text", what.text);
  } else {
    out.name("embedding").begin_array();
    for (const float x : what.embedding)
      out.value(x);
    out.end_array();
  }
  out.field_if_any("finish", what.finish).name("usage").begin_object();
  out.field("prompt", what.prompt_tokens).field("cached", what.cached_tokens);
  out.field("completion", what.completion_tokens).end_object();
  if (what.mean_logprob && std::isfinite(*what.mean_logprob))
    out.field("mean_logprob", *what.mean_logprob);
  if (!what.failed_checks.empty())
    out.field("failed_checks", what.failed_checks);
}

void write(json_text& out, const result& what) {
  out.begin_object().field("job", what.job).field("state", what.state);
  out.field("attempt", what.attempt);
  if (what.has_answer)
    write_answer(out, what);
  out.name("timing").begin_object().field("queue_ms", ms(what.queue_ms));
  out.field("prefill_ms", ms(what.prefill_ms)).field("decode_ms", ms(what.decode_ms));
  out.field("ttft_ms", ms(what.first_token_ms)).field("total_ms", ms(what.total_ms)).end_object();
  out.field_if_any("model", what.model).field_if_any("profile", what.profile);
  out.field_if_any("custom_id", what.custom_id).field("index", what.index);
  out.field("config_version", what.config_version);
  if (!what.meta.empty())
    out.field("meta", what.meta);
  if (!what.trace.empty())
    write(out.name("trace"), what.trace);
  if (what.error)
    write(out.name("error"), *what.error);
  if (what.is_batch) {
    out.name("items").begin_array();
    for (const auto& item : what.items)
      write(out, item);
    out.end_array();
  } else {
    out.field_if_any("model_hash", what.model_hash).field("seed", what.seed);
    write(out.name("cache"), what.cache);
  }
  out.end_object();
}

template <class T> std::string text_of(const T& what) {
  json_text out;
  write(out, what);
  return out.take();
}

} // namespace

error::error(const refusal& why)
    : code(why.kind.code), name(why.kind.name), message(why.message), field(why.field),
      limit(why.limit), retry_after_ms(why.retry_after_ms) {}

std::string encode(const welcome& what) {
  json_text out;
  out.begin_object().field("ver", 1).field("server", what.server).field("epoch", what.epoch);
  out.field("role", what.role).field("principal", what.principal).field("state", what.state);
  out.field("models", what.models).field("hb_ms", what.heartbeat_ms);
  out.name("limits").begin_object().field("body", what.body_bytes).field("frame", what.frame_bytes);
  out.field("max_tokens", what.max_tokens).field("batch_items", what.batch_items);
  out.field("open_jobs", what.open_jobs).field("open_bytes", what.open_bytes).end_object();
  out.field_if_any("events", what.events).end_object();
  return out.take();
}

std::string encode(const pong& what) {
  json_text out;
  out.begin_object().field("epoch", what.epoch).field("state", what.state);
  if (!what.t.empty())
    out.name("t").raw(what.t);
  return out.end_object().take();
}

std::string encode(const accepted& what) {
  json_text out;
  out.begin_object().field("job", what.job).field("durable", what.durable);
  out.field("fsync", what.fsync).field("dup", what.duplicate).field("epoch", what.epoch);
  if (what.children > 0)
    out.field("children", what.children);
  out.field("part", what.part).field("pos", what.position);
  if (what.eta_ms)
    out.field("eta_ms", ms(*what.eta_ms));
  return out.end_object().take();
}

std::string encode(const delta& what) {
  json_text out;
  out.begin_object().field("job", what.job).field("seq", what.seq).field("off", what.offset);
  return out.field("text", what.text).field("n", what.n_tokens).end_object().take();
}

std::string encode(const error& what) { return text_of(what); }

std::string encode(const result& what) { return text_of(what); }

std::string encode(const goodbye& what) {
  json_text out;
  out.begin_object().field("why", what.why).field("resume", what.resume).end_object();
  return out.take();
}

} // namespace bitnetd::wire
