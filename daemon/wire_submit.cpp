// SPDX-License-Identifier: MIT
#include "daemon/wire_submit.h"

#include "daemon/wire_fields.h"
#include "daemon/wire_prompt.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

// Names that a later version gives a meaning: a client that uses them must not be misunderstood.
void refuse_later_fields(const json& body) {
  for (const auto* later : {"grammar", "json_schema"})
    if (body.contains(later))
      refuse_field(later, "not supported yet");
}

hash128 fingerprint_of(json body) {
  for (const auto* name : {"key", "credit", "wait", "trace"})
    body.erase(name);
  return hash_bytes(body.dump()); // keys are sorted
}

std::map<std::string, std::string> read_meta(const json& object) {
  std::map<std::string, std::string> meta;
  for (const auto& [key, value] : object.items()) {
    if (key.empty() || key.size() > 64)
      refuse_field("meta", "expected keys of 1 to 64 bytes, got " + shown(json(key)), 64);
    if (!value.is_string() || value.get_ref<const std::string&>().size() > 512)
      refuse_field("meta." + key, "expected a text of at most 512 bytes, got " + shown(value), 512);
    meta.emplace(key, value.get<std::string>());
  }
  return meta;
}

void read_mode(const field_reader& fields, submit& out) {
  if (const auto index = fields.choice("mode", {"sync", "stream", "job"}))
    out.mode = static_cast<mode>(*index);
  if (const auto wait = fields.choice("wait", {"accept", "result"})) {
    if (out.mode != mode::job)
      fields.refuse("wait", "only in mode job: sync and stream always answer with the result");
    out.wait_result = *wait == 1;
  }
  if (const auto credit = fields.integer("credit", 0, 1'000'000)) {
    if (out.mode != mode::stream)
      fields.refuse("credit", "only in mode stream");
    out.credit = static_cast<std::uint32_t>(*credit);
  }
  out.durable = fields.boolean("durable");
  if (const auto choice = fields.choice("on_disconnect", {"keep", "cancel"}))
    out.cancel_on_disconnect = *choice == 1;
}

void read_times(const field_reader& fields, submit& out) {
  out.deadline_ms = fields.integer("deadline_ms", 1, max_deadline_ms);
  out.deadline = fields.time("deadline");
  if (out.deadline && out.deadline_ms)
    fields.refuse("deadline", "not together with deadline_ms");
  out.not_before = fields.time("not_before");
  if (out.not_before && (out.mode != mode::job || !out.is_durable()))
    fields.refuse("not_before", "only for durable jobs in mode job");
  out.ttl_result_s = fields.integer("ttl_result_s", 1, max_deadline_ms / 1000);
  if (out.ttl_result_s && !out.is_durable())
    fields.refuse("ttl_result_s", "only for durable jobs: no other result is kept");
}

// A batch in parts: the first makes the job, later ones name it and their number.
void read_parts(const field_reader& fields, submit& out) {
  out.job = fields.job_id("job").value_or("");
  out.more = fields.boolean("more").value_or(false);
  if (const auto part = fields.integer("part", 0, max_batch_parts))
    out.part = static_cast<std::uint32_t>(*part);
  if (out.job.empty() && !out.more && !out.part)
    return;
  const auto* named = !out.job.empty() ? "job" : out.more ? "more" : "part";
  if (!out.is_batch)
    fields.refuse(named, "only with items: a batch comes in parts, nothing else does");
  if (out.mode != mode::job || !out.is_durable() || out.wait_result)
    fields.refuse(named, "only in mode job, durable and without wait");
  if (out.job.empty() && out.part.value_or(0) != 0)
    fields.refuse("part", "the first part has number 0; later ones name their job");
  if (!out.job.empty() && out.part.value_or(0) == 0)
    fields.refuse("part", "expected the number of this part, 1 or more");
  if (!out.job.empty() && !out.key.empty())
    fields.refuse("key", "only in the first part: later ones are known by job and part");
}

} // namespace

submit decode_submit(const json& body, const submit_bounds& bounds) {
  refuse_later_fields(body);
  const field_reader fields(
      body, "", {"prompt",          "messages",      "input",    "items",      "model",
                 "params",          "mode",          "wait",     "durable",    "key",
                 "class",           "deadline_ms",   "deadline", "not_before", "ttl_result_s",
                 "quality_retries", "on_disconnect", "cache",    "credit",     "meta",
                 "trace",           "job",           "more",     "part",       "prefix"});
  submit out;
  auto [items, is_batch] = decode_prompts(body, fields, bounds);
  out.items = std::move(items);
  out.is_batch = is_batch;
  out.model = fields.label("model", 128).value_or("");
  out.prefix = fields.text("prefix", 1, max_prefix_bytes).value_or("");
  read_mode(fields, out);
  read_times(fields, out);
  if (const json* params = fields.object("params", 64))
    out.params = decode_sampling(*params, "params", bounds);
  out.key = fields.label("key", 128).value_or("");
  if (const auto cls = fields.choice("class", {"interactive", "normal", "batch", "background"}))
    out.cls = static_cast<job_class>(*cls);
  if (const auto retries = fields.integer("quality_retries", 0, 8))
    out.quality_retries = static_cast<std::uint32_t>(*retries);
  if (const json* cache = fields.object("cache", 64))
    out.cache = decode_cache(*cache);
  if (const json* meta = fields.object("meta", 16))
    out.meta = read_meta(*meta);
  out.trace = fields.boolean("trace").value_or(false);

  read_parts(fields, out);
  if (out.mode == mode::stream && is_batch)
    fields.refuse("mode", "a batch cannot be streamed: use sync or job");
  const bool embeds = !out.items.empty() && out.items[0].kind == prompt_kind::embedding;
  if (!out.prefix.empty() && !embeds)
    fields.refuse("prefix", "only with input: it stands before the text of an embedding");
  if (embeds) {
    if (out.params != sampling{})
      fields.refuse("params", "an embedding has no parameters of generation");
    if (out.mode == mode::stream)
      fields.refuse("mode", "an embedding cannot be streamed: use sync or job");
  }
  if (!out.key.empty())
    out.fingerprint = fingerprint_of(body);
  return out;
}

} // namespace bitnetd::wire
