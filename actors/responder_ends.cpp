// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/names.h"
#include "actors/quality.h"
#include "actors/responder.h"
#include "actors/results.h"
#include "actors/trace.h"

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include <utility>

// How jobs end: checks, answers from the cache, failures, batches that are complete.

namespace bitnetd::actors {

void responder_state::finish(responder_actor::pointer self, const finished& last) {
  const auto found = open.find(last.id);
  if (found == open.end())
    return let_go(self, last.id);
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
    return check(self, done, last, times);
  }
}

void responder_state::check(responder_actor::pointer self, assembly& done, const finished& last,
                            const timing& times) {
  const auto& how = *done.what().how;
  auto what = done.finish(last);
  if (how.config->profile.phases.checks)
    what.failed_checks = failed_checks(what, how, done.what().words().kind);
  for (const auto& check : what.failed_checks)
    counters->quality_failure(check);
  const bool may_retry = how.sampling.temperature > 0 && !done.sent_anything() &&
                         done.retries() < how.quality_retries && !done.deadline_passed;
  if (!what.failed_checks.empty() && may_retry)
    return retry(self, done, what.failed_checks);
  end(self, done, job_state::done, std::make_shared<const answer>(std::move(what)), std::nullopt,
      times);
}

void responder_state::retry(responder_actor::pointer self, assembly& again,
                            const std::vector<std::string>& failed) {
  counters->quality_retry();
  const auto now = time->mono();
  again.restart();
  add_trace("combination", again.what(), now, now, [&] {
    return fmt::format("checks failed: {}; again with seed {}", fmt::join(failed, ", "),
                       again.what().how->sampling.seed);
  });
  if (again.what().what->durable) // before anything of the new attempt can come
    mail.send(self, others->ledger, redrawn_atom_v, again.what().id,
              again.what().how->sampling.seed, again.retries());
  mail.send(self, others->batcher, compute_atom_v, again.what());
}

void responder_state::hit(responder_actor::pointer self, job what, const answer_ptr& found) {
  if (what.unlisted) {
    counters->job_accepted(what.how->cls);
    begin(self, what);
  }
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
  send_delta(self, done); // of a durable job nothing leaves before it is written: the result has it
  end(self, done, job_state::done, found, std::nullopt, done.times(time->mono(), 0, 0));
}

void responder_state::not_cached(responder_actor::pointer self, job what) {
  const auto entry = open.find(what.id);
  if (entry == open.end())
    return;
  const auto id = what.id;
  what.cache.status = cache_status::not_cached;
  entry->second.what() = std::move(what);
  fail(self, id, actors::not_cached(), {});
}

void responder_state::fail(responder_actor::pointer self, const job_id& id, failure why,
                           std::vector<trace_entry> trace) {
  const auto found = open.find(id);
  if (found == open.end())
    return let_go(self, id);
  auto& done = found->second;
  if (!trace.empty())
    done.what().trace = std::move(trace);
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
  const auto ended = std::move(done.what());
  const auto retries = done.retries();
  open.erase(ended.id);
  counters->set_open_jobs(static_cast<double>(open.size()));
  counters->job_ended(state);
  counters->request_duration(times.total_ms);
  if (ended.how)
    counters->phase("combination", !ended.how->config->profile.phases.checks);

  const bool computed = was_computed(ended);
  const bool keep = what && computed && what->failed_checks.empty();
  const bool stored = keep && ended.cache.status == cache_status::miss &&
                      !ended.what->cache.no_store && !ended.cache.no_room;
  if (!ended.unlisted) // it led nobody
    mail.send(self, others->cache, settled_atom_v, ended.id, what, keep);
  if (what && computed)
    counters->tokens(what->used.prompt_tokens, 0, what->used.completion_tokens);
  else if (what)
    counters->tokens(0, what->used.completion_tokens, 0);

  result_ptr result = result_of(
      ended, {state, std::move(what), std::move(why), times, stored, retries, time->mono()});
  announce(self, ended, result);
  if (ended.parent)
    collect(self, ended, std::move(result));
}

void responder_state::announce(responder_actor::pointer self, const job& ended, result_ptr result) {
  job_end last;
  last.id = ended.id;
  last.state = result->state;
  last.durable = ended.what->durable;
  if (!ended.parent && !released_before(ended)) {
    auto out = closing_reply(ended, result);
    if (last.durable) {
      last.has_reply = true;
      last.out = std::move(out);
    } else {
      mail.send(self, others->outbox, std::move(out));
    }
  }
  auto told = fmt::format(R"({{"cache":"{}","job":"{}","model":{},"state":"{}"}})",
                          to_string(result->cache.status), ended.id.text(),
                          nlohmann::json(result->model).dump(), store::name(result->state));
  last.result = std::move(result);
  if (!ended.unlisted)
    mail.send(self, others->ledger, ended_atom_v, std::move(last));
  mail.send(self, others->outbox, event{"job", std::move(told), ended.what->principal});
}

void responder_state::collect(responder_actor::pointer self, const job& child, result_ptr result) {
  const auto found = batches.find(*child.parent);
  if (found == batches.end())
    return;
  auto& batch = found->second;
  if (child.index >= batch.results.size() || batch.results[child.index])
    return;
  if (child.what->durable) { // the journal has it: here it only counts
    auto counted = std::make_shared<reply_result>(*result);
    counted->what = nullptr;
    counted->trace.clear();
    counted->meta.clear();
    result = std::move(counted);
  }
  batch.results[child.index] = std::move(result);
  ++batch.ended;
  if (batch.complete())
    end_batch(self, *child.parent);
}

void responder_state::grow(responder_actor::pointer self, const job_id& id, std::uint32_t n_items,
                           bool more) {
  const auto found = batches.find(id);
  if (found == batches.end())
    return;
  auto& batch = found->second;
  batch.results.resize(batch.results.size() + n_items);
  batch.more = more;
  if (batch.complete())
    end_batch(self, id);
}

void responder_state::end_batch(responder_actor::pointer self, const job_id& id) {
  auto node = batches.extract(id);
  const auto what = node.mapped().what;
  announce(self, what, result_of(std::move(node.mapped()), time->mono()));
}

void responder_state::close(responder_actor::pointer self) {
  if (!others)
    return;
  const auto tell = [&](const job& what) {
    if (what.parent || what.what->durable || !wants_end(what))
      return;
    auto stopped = std::make_shared<reply_result>();
    stopped->state = job_state::failed;
    stopped->error = internal("the daemon stopped before the job ended");
    mail.send(self, others->outbox, closing_reply(what, stopped));
  };
  for (const auto& [id, job] : open)
    tell(job.what());
  for (const auto& [id, batch] : batches)
    tell(batch.what);
}

} // namespace bitnetd::actors
