// SPDX-License-Identifier: MIT
#include "actors/results.h"

#include "actors/trace.h"
#include "base/log.h"

#include <spdlog/fmt/fmt.h>

#include <utility>

namespace bitnetd::actors {

namespace {

/// What the last phase decided.
std::string decision_of(const job& ended, const job_outcome& how) {
  if (how.why)
    return "ended: " + how.why->name;
  if (how.what && !how.what->failed_checks.empty())
    return fmt::format("delivered with failed checks: {}",
                       fmt::join(how.what->failed_checks, ", "));
  if (ended.how && !ended.how->config->profile.phases.checks)
    return how.stored ? "checks are off; kept in the cache" : "checks are off";
  if (!was_computed(ended))
    return "a stored answer: checked when it was computed";
  auto out = std::string{"all checks passed"};
  if (how.retries > 0)
    out += fmt::format(" after {} retries", how.retries);
  return how.stored ? out + "; kept in the cache" : out;
}

} // namespace

bool was_computed(const job& what) noexcept {
  return what.cache.status == cache_status::miss || what.cache.status == cache_status::bypass;
}

bool wants_end(const job& what) noexcept {
  return !what.recovered && (what.what->mode != reply_mode::job || what.what->wait_result);
}

bool released_before(const job& what) noexcept {
  return what.recovered || (what.what->durable && !wants_end(what));
}

std::shared_ptr<reply_result> result_of(const job& ended, job_outcome outcome) {
  auto out = std::make_shared<reply_result>();
  out->job = ended.id;
  out->state = outcome.state;
  out->error = outcome.why;
  out->cache = ended.cache;
  out->cache.stored = outcome.stored;
  out->times = outcome.times;
  out->index = ended.index;
  out->attempt = ended.attempt;
  out->custom_id = ended.words().custom_id;
  out->meta = ended.what->meta;
  if (ended.how) {
    const auto& how = *ended.how;
    out->model = how.model->name;
    out->model_hash = how.model->description->model_hash;
    out->profile = how.config->profile.name;
    out->config_version = how.config->version;
    out->seed = how.sampling.seed;
  }
  if (ended.what->trace) {
    out->trace = ended.trace;
    out->trace.push_back(
        trace_line("combination", ended, outcome.now, outcome.now, decision_of(ended, outcome)));
  }
  out->what = std::move(outcome.what);
  return out;
}

std::shared_ptr<reply_result> result_of(batch_assembly ended, mono_time now) {
  const auto& what = ended.what;
  auto out = std::make_shared<reply_result>();
  out->job = what.id;
  out->meta = what.what->meta;
  out->times.total_ms = ms_between(what.what->arrived, now);
  std::size_t cached = 0, failed = 0, stopped = 0;
  for (const auto& item : ended.results) {
    cached += item->cache.status == cache_status::hit ||
              item->cache.status == cache_status::coalesced ||
              item->cache.status == cache_status::stale;
    failed += item->error.has_value();
    stopped += item->state == job_state::cancelled;
    if (item->model.empty())
      continue; // it was refused, or ended before a restart
    out->model = item->model;
    out->model_hash = item->model_hash;
    out->profile = item->profile;
    out->config_version = item->config_version;
  }
  const auto n = ended.results.size();
  out->state = n > 0 && stopped == n ? job_state::cancelled : job_state::done;
  if (what.what->trace) {
    out->trace = what.trace;
    out->trace.push_back(trace_line(
        "combination", what, what.what->arrived, now,
        fmt::format("{} items merged in order: {} from the cache, {} computed, {} failed", n,
                    cached, n - cached - failed, failed)));
  }
  out->items = std::move(ended.results);
  return out;
}

reply closing_reply(const job& ended, const result_ptr& result) {
  reply out;
  out.to = ended.what->reply_to;
  out.principal = ended.what->principal;
  if (!ended.recovered) {
    out.release_jobs = static_cast<std::uint32_t>(ended.what->items.size());
    out.release_bytes = ended.what->body.size();
  }
  if (!wants_end(ended))
    out.what = reply_document{};
  else if (result->error)
    out.what = reply_error{*result->error, ended.id, result->state, result->cache, result->trace};
  else
    out.what = result;
  return out;
}

} // namespace bitnetd::actors
