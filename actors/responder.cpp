// SPDX-License-Identifier: MIT
#include "actors/responder.h"

#include "actors/errors.h"
#include "actors/names.h"
#include "actors/quality.h"
#include "actors/trace.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds tick_interval{100};

/// A reply that only gives back what the front counted for this request, or carries `body`.
reply closing_reply(
    const job& what,
    std::variant<reply_accepted, reply_delta, result_ptr, reply_error, reply_document> body) {
  reply out;
  out.to = what.what->reply_to;
  out.what = std::move(body);
  out.principal = what.what->principal;
  if (!what.recovered) {
    out.release_jobs = static_cast<std::uint32_t>(what.what->items.size());
    out.release_bytes = what.what->body.size();
  }
  return out;
}

/// Whether the client of this job still hears of its end on the connection it came by.
bool wants_end(const job& what) {
  return !what.recovered && (what.what->mode != reply_mode::job || what.what->wait_result);
}

/// A durable job without wait was released with its `accepted`.
bool released_before(const job& what) { return what.what->durable && !wants_end(what); }

} // namespace

void responder_state::begin(responder_actor::pointer, job what) {
  if (what.is_parent) {
    batch_assembly parent;
    parent.results.resize(what.what->items.size());
    for (const auto index : what.ended_items) { // their results are in the journal
      auto stored = std::make_shared<reply_result>();
      stored->index = index;
      parent.results.at(index) = std::move(stored);
      ++parent.ended;
    }
    const auto id = what.id;
    parent.what = std::move(what);
    batches.insert_or_assign(id, std::move(parent));
    return;
  }
  const auto id = what.id;
  open.insert_or_assign(id, assembly{std::move(what)});
  counters->set_open_jobs(static_cast<double>(open.size()));
}

void responder_state::send_delta(responder_actor::pointer self, assembly& to) {
  if (auto delta = to.take_delta()) {
    reply out;
    out.to = to.what().what->reply_to;
    out.what = std::move(*delta);
    self->send(others->outbox, std::move(out));
  }
}

void responder_state::take(responder_actor::pointer self, const assembly& from) {
  const auto worker = from.worker();
  if (worker && *worker < others->workers.size() && others->workers[*worker])
    self->send(others->workers[*worker], taken_atom_v, from.what().id);
}

void responder_state::add(responder_actor::pointer self, const output& piece) {
  const auto found = open.find(piece.id);
  if (found == open.end())
    return;
  auto& to = found->second;
  const bool first = to.tokens().empty();
  if (!to.append(piece, time->mono())) {
    log::error("job {}: output from token {} where {} was due is dropped", piece.id.text(),
               piece.first_token, to.tokens().size());
    take(self, to);
    return;
  }
  if (first)
    counters->first_token(
        std::chrono::duration<double, std::milli>(time->mono() - to.what().what->arrived).count());
  if (to.what().what->durable) { // a delta leaves only after its tokens are in the log
    self->send(others->ledger, piece);
    return;
  }
  send_delta(self, to);
  take(self, to);
}

void responder_state::written(responder_actor::pointer self, const job_id& id) {
  if (const auto found = open.find(id); found != open.end()) {
    send_delta(self, found->second);
    take(self, found->second);
  }
}

void responder_state::finish(responder_actor::pointer self, const finished& last) {
  const auto found = open.find(last.id);
  if (found == open.end())
    return;
  auto& done = found->second;
  const auto times = done.times(time->mono(), last.prefill_ms, last.decode_ms);
  switch (last.finish) {
  case finish_kind::cancelled:
    if (done.deadline_passed)
      return end(self, done, job_state::expired, nullptr,
                 deadline_passed("the deadline passed while the job ran"), times);
    return end(self, done, job_state::cancelled, nullptr, cancelled(), times);
  case finish_kind::numeric:
    counters->quality_failure("numeric");
    return end(self, done, job_state::failed, nullptr, numeric(), times);
  case finish_kind::refused:
    return end(self, done, job_state::failed, nullptr,
               internal("the worker refused: " + last.reason), times);
  case finish_kind::stop:
  case finish_kind::length:
    break;
  }
  auto what = done.finish(last);
  const auto& checks_on = done.what().how->config->profile.phases.checks;
  if (checks_on)
    what.failed_checks = failed_checks(what, *done.what().how, done.what().words().kind);
  for (const auto& check : what.failed_checks)
    counters->quality_failure(check);
  const bool sampled = done.what().how->sampling.temperature > 0;
  if (!what.failed_checks.empty() && sampled && !done.sent_anything() &&
      done.retries() < done.what().how->quality_retries)
    return retry(self, done, what.failed_checks);
  end(self, done, job_state::done, std::make_shared<const answer>(std::move(what)), std::nullopt,
      times);
}

void responder_state::retry(responder_actor::pointer self, assembly& again,
                            const std::vector<std::string>& failed) {
  counters->quality_retry();
  const auto now = time->mono();
  again.restart();
  again.what().trace.push_back(
      trace_line("combination", again.what(), now, now,
                 fmt::format("checks failed: {}; again with seed {}", fmt::join(failed, ", "),
                             again.what().how->sampling.seed)));
  self->send(others->batcher, compute_atom_v, again.what());
}

void responder_state::hit(responder_actor::pointer self, job what, const answer_ptr& found) {
  const auto entry = open.find(what.id);
  if (entry == open.end())
    return;
  auto& done = entry->second;
  done.what() = std::move(what);
  output whole;
  whole.id = done.what().id;
  whole.tokens = found->tokens;
  whole.text = found->text;
  (void)done.append(whole, time->mono());
  send_delta(self, done);
  end(self, done, job_state::done, found, std::nullopt, done.times(time->mono(), 0, 0));
}

void responder_state::fail(responder_actor::pointer self, const job_id& id, failure why,
                           std::vector<trace_entry> trace) {
  const auto found = open.find(id);
  if (found == open.end())
    return;
  auto& done = found->second;
  if (!trace.empty())
    done.what().trace = std::move(trace);
  if (why.name == "E_NOT_CACHED")
    done.what().cache.status = cache_status::not_cached;
  if (done.deadline_passed && why.name == "E_CANCELLED") // it was we who cancelled it
    why = deadline_passed("the deadline passed before the job ended");
  auto state = job_state::failed;
  if (why.name == "E_CANCELLED")
    state = job_state::cancelled;
  else if (why.name == "E_DEADLINE")
    state = job_state::expired;
  end(self, done, state, nullptr, std::move(why), done.times(time->mono(), 0, 0));
}

void responder_state::cancel(responder_actor::pointer self, const job_id& id) {
  fail(self, id, cancelled(), {});
}

void responder_state::end(responder_actor::pointer self, assembly& done, job_state state,
                          answer_ptr what, std::optional<failure> why, const timing& times) {
  const auto now = time->mono();
  auto finished_job = std::move(done.what());
  const auto retries = done.retries();
  open.erase(finished_job.id);
  counters->set_open_jobs(static_cast<double>(open.size()));
  counters->job_ended(state);
  counters->request_duration(times.total_ms);

  const bool computed = finished_job.cache.status == cache_status::miss ||
                        finished_job.cache.status == cache_status::bypass;
  const bool keep = what && computed && what->failed_checks.empty();
  self->send(others->cache, settled_atom_v, finished_job.id, what, keep);
  if (what)
    counters->tokens(computed ? what->used.prompt_tokens : 0,
                     computed ? 0 : what->used.completion_tokens,
                     computed ? what->used.completion_tokens : 0);

  auto result = std::make_shared<reply_result>();
  result->job = finished_job.id;
  result->state = state;
  result->error = why;
  result->cache = finished_job.cache;
  result->cache.stored =
      keep && finished_job.cache.status == cache_status::miss && !finished_job.what->cache.no_store;
  result->times = times;
  result->index = finished_job.index;
  result->attempt = finished_job.attempt;
  result->custom_id = finished_job.words().custom_id;
  result->meta = finished_job.what->meta;
  if (finished_job.how) {
    const auto& how = *finished_job.how;
    result->model = how.model->name;
    result->model_hash = how.model->description->model_hash;
    result->profile = how.config->profile.name;
    result->config_version = how.config->version;
    result->seed = how.sampling.seed;
    counters->phase("combination", !how.config->profile.phases.checks);
  }
  if (finished_job.what->trace) {
    std::string decision = why ? "ended: " + why->name : "answer complete";
    if (what && !what->failed_checks.empty())
      decision =
          fmt::format("delivered with failed checks: {}", fmt::join(what->failed_checks, ", "));
    else if (what && finished_job.how && !finished_job.how->config->profile.phases.checks)
      decision = "checks are off";
    else if (what)
      decision = fmt::format("all checks passed{}{}",
                             retries > 0 ? fmt::format(" after {} retries", retries) : "",
                             keep && result->cache.stored ? "; kept in the cache" : "");
    result->trace = finished_job.trace;
    result->trace.push_back(
        trace_line("combination", finished_job, now, time->mono(), std::move(decision)));
  }
  result->what = std::move(what);

  job_end last;
  last.id = finished_job.id;
  last.state = state;
  last.result = result;
  last.durable = finished_job.what->durable;
  last.has_reply = false;
  if (!finished_job.parent) {
    if (wants_end(finished_job) && why)
      last.out = closing_reply(
          finished_job, reply_error{*why, finished_job.id, state, result->cache, result->trace});
    else if (wants_end(finished_job))
      last.out = closing_reply(finished_job, result_ptr{result});
    else
      last.out = closing_reply(finished_job, reply_document{});
    last.has_reply = !released_before(finished_job);
  }
  // What is durable is written first, and then told; the rest is told at once.
  if (last.has_reply && !last.durable) {
    self->send(others->outbox, std::move(last.out));
    last.has_reply = false;
  }
  const auto parent = finished_job.parent;
  self->send(others->ledger, ended_atom_v, std::move(last));
  nlohmann::json told{{"job", finished_job.id.text()},
                      {"state", store::name(state)},
                      {"model", result->model},
                      {"cache", to_string(result->cache.status)}};
  self->send(others->outbox, event{"job", told.dump()});
  if (parent)
    collect(self, finished_job, std::move(result));
}

void responder_state::collect(responder_actor::pointer self, const job& child, result_ptr result) {
  const auto found = batches.find(*child.parent);
  if (found == batches.end())
    return;
  auto& batch = found->second;
  if (child.index >= batch.results.size() || batch.results[child.index])
    return;
  batch.results[child.index] = std::move(result);
  if (++batch.ended == batch.results.size())
    end_batch(self, *child.parent);
}

void responder_state::end_batch(responder_actor::pointer self, const job_id& id) {
  auto node = batches.extract(id);
  auto& [what, results, ended] = node.mapped();
  auto result = std::make_shared<reply_result>();
  result->job = id;
  result->meta = what.what->meta;
  result->times.total_ms =
      std::chrono::duration<double, std::milli>(time->mono() - what.what->arrived).count();
  std::size_t cached = 0, failed = 0, stopped = 0;
  for (const auto& item : results) {
    cached +=
        item->cache.status == cache_status::hit || item->cache.status == cache_status::coalesced;
    failed += item->error.has_value();
    stopped += item->state == job_state::cancelled;
    result->model = item->model;
    result->model_hash = item->model_hash;
    result->profile = item->profile;
    result->config_version = item->config_version;
  }
  result->state = stopped == results.size() ? job_state::cancelled : job_state::done;
  if (what.what->trace) {
    result->trace = what.trace;
    result->trace.push_back(trace_line(
        "combination", what, what.what->arrived, time->mono(),
        fmt::format("{} items merged in order: {} from the cache, {} computed, {} failed",
                    results.size(), cached, results.size() - cached - failed, failed)));
  }
  result->items = std::move(results);

  job_end last;
  last.id = id;
  last.state = result->state;
  last.result = result;
  last.durable = what.what->durable;
  last.has_reply = !released_before(what);
  if (wants_end(what))
    last.out = closing_reply(what, result_ptr{result});
  else
    last.out = closing_reply(what, reply_document{});
  if (last.has_reply && !last.durable) {
    self->send(others->outbox, std::move(last.out));
    last.has_reply = false;
  }
  self->send(others->ledger, ended_atom_v, std::move(last));
}

void responder_state::recall(responder_actor::pointer self, const std::vector<job_id>& ids) {
  for (const auto& id : ids) {
    const auto found = open.find(id);
    if (found == open.end())
      self->send(others->batcher, finished_atom_v, UINT32_MAX, id); // it ended before
    else
      self->send(others->batcher, resumed_atom_v, id, found->second.tokens());
  }
}

void responder_state::check_deadlines(responder_actor::pointer self) {
  const auto now = time->mono();
  for (auto& [id, job] : open) {
    const auto& how = job.what().how;
    if (how && how->deadline && *how->deadline <= now && !std::exchange(job.deadline_passed, true))
      self->send(others->cache, cancel_atom_v, id);
  }
}

responder_actor::behavior_type responder(responder_actor::stateful_pointer<responder_state> self,
                                         std::shared_ptr<const clock> time,
                                         std::shared_ptr<metrics> counters) {
  self->state.time = std::move(time);
  self->state.counters = std::move(counters);
  self->delayed_send(self, tick_interval, tick_atom_v);
  return {
      [self](open_atom, job& what) { self->state.begin(self, std::move(what)); },
      [self](hit_atom, job& what, const answer_ptr& found) {
        self->state.hit(self, std::move(what), found);
      },
      [self](failed_atom, const job_id& id, failure& why, std::vector<trace_entry>& trace) {
        self->state.fail(self, id, std::move(why), std::move(trace));
      },
      [self](started_atom, job& what, std::uint32_t worker) {
        auto& state = self->state;
        if (const auto found = state.open.find(what.id); found != state.open.end())
          found->second.started(std::move(what), worker, state.time->mono());
      },
      [self](const output& piece) { self->state.add(self, piece); },
      [self](const finished& end) { self->state.finish(self, end); },
      [self](recall_atom, const std::vector<job_id>& ids) { self->state.recall(self, ids); },
      [self](cancel_atom, const job_id& id) { self->state.cancel(self, id); },
      [self](credit_atom, const query& more) {
        auto& state = self->state;
        for (const auto& id : more.jobs) {
          const auto found = state.open.find(id);
          if (found == state.open.end() || found->second.what().what->principal != more.principal)
            continue;
          found->second.add_credit(more.credit);
          if (!found->second.what().what->durable)
            state.send_delta(self, found->second);
        }
      },
      [self](written_atom, const job_id& id) { self->state.written(self, id); },
      [self](tick_atom) {
        self->state.check_deadlines(self);
        self->delayed_send(self, tick_interval, tick_atom_v);
      },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; },
  };
}

} // namespace bitnetd::actors
