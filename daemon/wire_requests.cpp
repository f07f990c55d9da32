// SPDX-License-Identifier: MIT
#include "daemon/wire_requests.h"

#include "daemon/wire_fields.h"
#include "daemon/wire_json.h"
#include "daemon/wire_messages.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 9> states{
    "accepted", "queued", "scheduled", "running", "done", "failed", "cancelled", "expired", "dead"};

std::string required_job(const field_reader& fields) {
  fields.require("job");
  return *fields.job_id("job");
}

// The words of an array, each one of `known`.
std::vector<std::string> words(const json& list, const std::string& path,
                               std::span<const std::string_view> known) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto here = path + '[' + std::to_string(i) + ']';
    const bool is_known =
        list[i].is_string() &&
        std::ranges::find(known, list[i].get_ref<const std::string&>()) != known.end();
    if (!is_known) {
      std::string all;
      for (const auto word : known)
        all += (all.empty() ? "" : ", ") + std::string(word);
      refuse_field(here, "expected one of " + all + "; got " + shown(list[i]));
    }
    out.push_back(list[i].get<std::string>());
  }
  return out;
}

hello read_hello(const json& body) {
  const field_reader fields(body, "", {"ver", "client", "want"});
  if (const json* versions = fields.array("ver", 1, 8)) {
    const auto is_version = [](const json& v) {
      return v.is_number_integer() && v >= 1 && v <= 255;
    };
    if (!std::ranges::all_of(*versions, is_version))
      fields.refuse("ver", "expected whole numbers from 1 to 255");
    if (std::ranges::find(*versions, json(1)) == versions->end())
      throw refusal{errors::version, "this daemon speaks version 1 and nothing else", "ver"};
  }
  hello out;
  out.client = fields.label("client", 128).value_or("");
  constexpr std::array<std::string_view, 2> known{"stream", "events"};
  if (const json* wants = fields.array("want", 0, 8)) {
    const auto list = words(*wants, "want", known);
    out.wants_events = std::ranges::find(list, "events") != list.end();
  }
  return out;
}

ping read_ping(const json& body) {
  const field_reader fields(body, "", {"t"});
  if (!fields.has("t"))
    return {};
  const json& t = body["t"];
  if (t.is_structured() || t.is_null() ||
      (t.is_string() && t.get_ref<const std::string&>().size() > 256))
    fields.refuse("t",
                  "expected a text of at most 256 bytes, a number or a boolean, got " + shown(t));
  return {t.dump()};
}

credit read_credit(const json& body) {
  const field_reader fields(body, "", {"job", "n"});
  auto job = required_job(fields);
  fields.require("n");
  return {std::move(job), static_cast<std::uint32_t>(*fields.integer("n", 1, 1'000'000))};
}

attach read_attach(const json& body) {
  constexpr std::int64_t most_offset = std::int64_t{1} << 53; // what every JSON number can say
  const field_reader fields(body, "", {"job", "off", "credit", "progress", "order"});
  attach out;
  out.job = required_job(fields);
  out.offset = static_cast<std::uint64_t>(fields.integer("off", 0, most_offset).value_or(0));
  out.credit =
      static_cast<std::uint32_t>(fields.integer("credit", 0, 1'000'000).value_or(default_credit));
  out.progress = fields.boolean("progress").value_or(false);
  out.in_order = fields.choice("order", {"completion", "input"}).value_or(0) == 1;
  return out;
}

detach read_detach(const json& body) { return {required_job(field_reader(body, "", {"job"}))}; }

dead_query read_dead_list(const json& body) {
  const field_reader fields(body, "", {"limit", "cursor"});
  dead_query out;
  out.limit = static_cast<std::uint32_t>(fields.integer("limit", 1, 500).value_or(100));
  out.cursor = fields.job_id("cursor").value_or("");
  return out;
}

dead_order read_dead_order(const json& body, bool may_be_all) {
  const field_reader fields(body, "", {"job"});
  if (!may_be_all)
    fields.require("job");
  return {fields.job_id("job").value_or("")};
}

status_query read_status(const json& body) {
  const field_reader fields(body, "", {"job", "jobs"});
  if (fields.has("job") == fields.has("jobs"))
    fields.refuse("job", "expected either job or jobs");
  if (auto job = fields.job_id("job"))
    return {{std::move(*job)}};
  status_query out;
  const json& list = *fields.array("jobs", 1, 100);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string() || !is_job_id(list[i].get_ref<const std::string&>()))
      refuse_field("jobs[" + std::to_string(i) + ']', "expected a job id, got " + shown(list[i]));
    out.jobs.push_back(list[i].get<std::string>());
  }
  return out;
}

result_query read_result(const json& body) {
  const field_reader fields(body, "", {"job", "wait_ms"});
  auto job = required_job(fields);
  return {std::move(job),
          static_cast<std::uint32_t>(fields.integer("wait_ms", 0, 60'000).value_or(0))};
}

list_query read_list(const json& body) {
  const field_reader fields(body, "", {"state", "batch", "limit", "cursor"});
  list_query out;
  if (const json* wanted = fields.array("state", 0, states.size()))
    out.states = words(*wanted, "state", states);
  out.batch = fields.job_id("batch").value_or("");
  out.limit = static_cast<std::uint32_t>(fields.integer("limit", 1, 500).value_or(100));
  out.cursor = fields.label("cursor", 256).value_or("");
  return out;
}

cancel read_cancel(const json& body) {
  const field_reader fields(body, "", {"job", "reason"});
  auto job = required_job(fields);
  return {std::move(job), fields.label("reason", 256).value_or("")};
}

ack read_ack(const json& body) { return {required_job(field_reader(body, "", {"job"}))}; }

plain read_plain(const json& body) {
  const field_reader none(body, "", {});
  return {};
}

reload read_reload(const json& body) {
  return {field_reader(body, "", {"dry_run"}).boolean("dry_run").value_or(false)};
}

profile read_profile(const json& body) {
  return {field_reader(body, "", {"name"}).label("name", 64).value_or("")};
}

drain read_drain(const json& body) {
  const auto seconds = field_reader(body, "", {"timeout_s"}).integer("timeout_s", 0, 86'400);
  return {seconds ? std::optional(static_cast<std::uint32_t>(*seconds)) : std::nullopt};
}

// Ids have up to 64 bits, more than JSON numbers hold everywhere: decimal text, as in results.
std::uint64_t entry_of(const field_reader& fields) {
  fields.require("entry");
  const auto text = fields.text("entry", 1, 20);
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
  if (error != std::errc{} || end != text->data() + text->size() || out == 0)
    fields.refuse("entry", "expected the decimal id of an entry, as a result's cache.entry has it");
  return out;
}

cache_order read_cache(const json& body) {
  const field_reader fields(body, "", {"op", "entry", "principal", "namespace", "model", "tag"});
  fields.require("op");
  constexpr std::array<std::string_view, 5> words{"get", "del", "flush", "pin", "unpin"};
  cache_order out;
  out.op = words[*fields.choice("op", {"get", "del", "flush", "pin", "unpin"})];
  if (out.op != "flush") {
    out.entry = entry_of(fields);
    return out;
  }
  out.principal = fields.label("principal", 128).value_or("");
  out.name_space = fields.label("namespace", 64).value_or("");
  out.model = fields.label("model", 128).value_or("");
  out.tag = fields.label("tag", 64).value_or("");
  if (out.principal.empty() && !(out.name_space.empty() && out.tag.empty()))
    fields.refuse("principal", "expected whose namespace or tag it is");
  if (!out.model.empty() && !out.principal.empty())
    fields.refuse("model", "expected alone: a model's answers are flushed for all principals");
  if (!out.name_space.empty() && !out.tag.empty())
    fields.refuse("tag", "not together with namespace");
  return out;
}

cache_order read_report(const json& body) {
  const field_reader fields(body, "", {"entry", "verdict"});
  cache_order out;
  out.op = "report";
  out.entry = entry_of(fields);
  fields.require("verdict");
  out.wrong = *fields.choice("verdict", {"wrong", "right"}) == 0;
  return out;
}

request read(std::string_view type, const json& body, const submit_bounds& bounds) {
  if (type == "submit")
    return decode_submit(body, bounds);
  if (type == "credit")
    return read_credit(body);
  if (type == "attach")
    return read_attach(body);
  if (type == "detach")
    return read_detach(body);
  if (type == "status")
    return read_status(body);
  if (type == "result")
    return read_result(body);
  if (type == "hello")
    return read_hello(body);
  if (type == "ping")
    return read_ping(body);
  if (type == "list")
    return read_list(body);
  if (type == "cancel")
    return read_cancel(body);
  if (type == "ack")
    return read_ack(body);
  if (type == "tokenize")
    return read_tokenize(body);
  if (type == "detokenize")
    return read_detokenize(body);
  if (type == "dead.list")
    return read_dead_list(body);
  if (type == "dead.retry" || type == "dead.purge" || type == "job.requeue")
    return read_dead_order(body, type == "dead.purge");
  if (type == "reload")
    return read_reload(body);
  if (type == "profile")
    return read_profile(body);
  if (type == "drain")
    return read_drain(body);
  if (type == "cache")
    return read_cache(body);
  if (type == "cache.report")
    return read_report(body);
  return read_plain(body); // models, stats, metrics, undrain
}

} // namespace

std::span<const std::string_view> job_state_names() noexcept { return states; }

std::variant<request, refusal> decode_request(std::string_view type, std::string_view body,
                                              const submit_bounds& bounds) {
  if (find_request_kind(type) == nullptr)
    return refusal{errors::frame, "unknown message type " + std::string(type), {}};
  auto parsed = parse_object(body);
  if (auto* why = std::get_if<refusal>(&parsed))
    return std::move(*why);
  try {
    return read(type, std::get<json>(parsed), bounds);
  } catch (refusal& why) {
    return std::move(why);
  }
}

} // namespace bitnetd::wire
