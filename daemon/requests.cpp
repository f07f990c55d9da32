// SPDX-License-Identifier: MIT
#include "daemon/requests.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>

namespace bitnetd::daemon {

namespace {

using namespace std::chrono;

actors::prompt to_prompt(wire::prompt&& from) {
  actors::prompt out;
  out.kind = static_cast<actors::job_kind>(from.kind);
  out.text = std::move(from.text);
  out.messages.reserve(from.messages.size());
  for (auto& message : from.messages)
    out.messages.push_back({std::move(message.role), std::move(message.content)});
  out.custom_id = std::move(from.custom_id);
  return out;
}

actors::requested_params to_params(wire::sampling&& from) {
  actors::requested_params out;
  out.max_tokens = from.max_tokens;
  out.temperature = from.temperature;
  out.top_p = from.top_p;
  out.min_p = from.min_p;
  out.repetition_penalty = from.repetition_penalty;
  out.top_k = from.top_k;
  out.seed = from.seed;
  out.stop = std::move(from.stop);
  out.logit_bias = std::move(from.logit_bias);
  out.ignore_eos = from.ignore_eos;
  return out;
}

std::optional<seconds> to_seconds(std::optional<std::int64_t> value) {
  return value ? std::optional(seconds{*value}) : std::nullopt;
}

actors::cache_directives to_directives(wire::cache_directives&& from) {
  actors::cache_directives out;
  out.no_store = from.no_store;
  out.no_cache = from.no_cache;
  out.only_if_cached = from.only_if_cached;
  out.exact_only = from.exact_only;
  out.allow_sampled = from.allow_sampled;
  out.name_space = std::move(from.name_space);
  out.max_age = to_seconds(from.max_age_s);
  out.max_stale = to_seconds(from.max_stale_s);
  out.stale_while_revalidate = to_seconds(from.stale_while_revalidate_s);
  out.tags = std::move(from.tags);
  out.explain = from.explain;
  out.ttl = to_seconds(from.ttl_s);
  out.min_confidence = from.min_confidence;
  return out;
}

// Time left until the deadline; throws refusal.
std::optional<milliseconds> to_deadline(const wire::submit& submit, wall_time arrived) {
  if (submit.deadline_ms)
    return milliseconds{*submit.deadline_ms};
  if (!submit.deadline)
    return {};
  const auto left = duration_cast<milliseconds>(*submit.deadline - arrived);
  if (left <= milliseconds{0})
    throw wire::refusal{wire::errors::deadline, "the deadline has passed", "deadline"};
  if (left > milliseconds{wire::max_deadline_ms})
    throw wire::refusal{wire::errors::field, "deadline: more than 30 days ahead", "deadline"};
  return left;
}

actors::request make_request(wire::submit&& submit, const origin& from, std::string_view body) {
  actors::request out;
  out.reply_to = from.reply_to;
  out.principal = from.principal;
  out.may = from.may;
  out.arrived = from.arrived;
  out.arrived_wall = from.arrived_wall;
  out.durable = submit.is_durable();
  out.cancel_on_disconnect = submit.cancel_on_disconnect.value_or(!out.durable);
  out.model = std::move(submit.model);
  out.items.reserve(submit.items.size());
  for (auto& item : submit.items) {
    out.items.push_back(to_prompt(std::move(item)));
    out.items.back().text.insert(0, submit.prefix); // empty unless they are all inputs
  }
  out.is_batch = submit.is_batch;
  if (!submit.job.empty())
    out.part_of = store::job_id::parse(submit.job);
  out.part = submit.part.value_or(0);
  out.more = submit.more;
  out.params = to_params(std::move(submit.params));
  out.mode = static_cast<actors::reply_mode>(submit.mode);
  out.wait_result = submit.wait_result;
  out.key = std::move(submit.key);
  out.fingerprint = submit.fingerprint;
  if (submit.cls)
    out.wanted_class = static_cast<actors::job_class>(*submit.cls);
  out.not_before = submit.not_before;
  out.result_ttl = to_seconds(submit.ttl_result_s);
  out.quality_retries = submit.quality_retries;
  out.cache = to_directives(std::move(submit.cache));
  out.credit = submit.credit.value_or(wire::default_credit);
  out.trace = submit.trace;
  out.meta = std::move(submit.meta);
  out.body = body;
  return out;
}

actors::query query_from(const origin& from) {
  actors::query out;
  out.reply_to = from.reply_to;
  out.principal = from.principal;
  out.admin = from.may == conf::role::admin;
  return out;
}

actors::query about(const origin& from, const std::string& job) {
  auto out = query_from(from);
  out.jobs.push_back(store::job_id::parse(job).value());
  return out;
}

} // namespace

std::variant<actors::request_ptr, wire::refusal> to_request(wire::submit submit, const origin& from,
                                                            std::string_view body) {
  try {
    const auto deadline = to_deadline(submit, from.arrived_wall);
    if (submit.not_before &&
        *submit.not_before - from.arrived_wall > seconds{wire::max_not_before_s})
      throw wire::refusal{wire::errors::field, "not_before: more than 366 days ahead",
                          "not_before"};
    auto out = make_request(std::move(submit), from, body);
    out.deadline = deadline;
    return std::make_shared<const actors::request>(std::move(out));
  } catch (wire::refusal& why) {
    return std::move(why);
  }
}

actors::query to_query(const wire::status_query& what, const origin& from) {
  auto out = query_from(from);
  for (const auto& job : what.jobs)
    out.jobs.push_back(store::job_id::parse(job).value());
  return out;
}

actors::query to_query(const wire::result_query& what, const origin& from) {
  auto out = about(from, what.job);
  out.wait = milliseconds{what.wait_ms};
  return out;
}

actors::query to_query(const wire::list_query& what, const origin& from) {
  auto out = query_from(from);
  const auto names = wire::job_state_names();
  for (const auto& state : what.states)
    out.states.push_back(
        static_cast<actors::job_state>(std::ranges::find(names, state) - names.begin()));
  if (!what.batch.empty())
    out.batch = store::job_id::parse(what.batch);
  out.cursor = what.cursor;
  out.limit = what.limit;
  return out;
}

actors::query to_query(const wire::cancel& what, const origin& from) {
  return about(from, what.job);
}

actors::query to_query(const wire::ack& what, const origin& from) { return about(from, what.job); }

actors::query to_query(const wire::credit& what, const origin& from) {
  auto out = about(from, what.job);
  out.credit = what.n;
  return out;
}

actors::query to_query(const wire::attach& what, const origin& from) {
  auto out = about(from, what.job);
  out.offset = what.offset;
  out.credit = what.credit;
  out.progress = what.progress;
  out.in_order = what.in_order;
  return out;
}

actors::query to_query(const wire::detach& what, const origin& from) {
  return about(from, what.job);
}

actors::query to_query(const wire::dead_query& what, const origin& from) {
  auto out = query_from(from);
  out.limit = what.limit;
  out.cursor = what.cursor;
  return out;
}

actors::query to_query(const wire::dead_order& what, const origin& from) {
  return what.job.empty() ? query_from(from) : about(from, what.job);
}

actors::token_query to_query(wire::tokenize&& what, const origin& from) {
  return {from.reply_to, from.principal, std::move(what.model), std::move(what.text), {}, false};
}

actors::token_query to_query(wire::detokenize&& what, const origin& from) {
  return {from.reply_to, from.principal, std::move(what.model), {}, std::move(what.tokens), true};
}

actors::cache_order to_order(const wire::cache_order& from) {
  using action = actors::cache_order::action;
  constexpr std::array<std::string_view, 6> words{"get", "del", "flush", "pin", "unpin", "report"};
  actors::cache_order out;
  out.what = static_cast<action>(std::ranges::find(words, from.op) - words.begin());
  out.entry = from.entry;
  out.wrong = from.wrong;
  out.principal = from.principal;
  out.name_space = from.name_space;
  out.model = from.model;
  out.tag = from.tag;
  return out;
}

actors::request_ptr decode_stored_body(std::string_view principal, std::string_view body) {
  constexpr auto any = std::numeric_limits<std::uint32_t>::max();
  auto parsed = wire::decode_request("submit", body, {any, any});
  if (const auto* why = std::get_if<wire::refusal>(&parsed))
    throw std::runtime_error("the stored request cannot be read: " + why->message);
  auto& submit = std::get<wire::submit>(std::get<wire::request>(parsed));
  origin from;
  from.principal = principal;
  from.arrived = steady_clock::now();
  from.arrived_wall = std::chrono::system_clock::now();
  std::optional<milliseconds> deadline;
  if (submit.deadline_ms)
    deadline = milliseconds{*submit.deadline_ms};
  if (submit.deadline) // may have passed meanwhile: the journal's own record decides
    deadline = duration_cast<milliseconds>(*submit.deadline - from.arrived_wall);
  auto out = make_request(std::move(submit), from, body);
  out.deadline = deadline;
  return std::make_shared<const actors::request>(std::move(out));
}

} // namespace bitnetd::daemon
