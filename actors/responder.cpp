// SPDX-License-Identifier: MIT
#include "actors/responder.h"

#include "actors/errors.h"
#include "actors/guard.h"
#include "actors/names.h"
#include "actors/quality.h"
#include "actors/results.h"
#include "actors/trace.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds responder_tick{100};

batch_assembly assembly_of(job parent) {
  batch_assembly out;
  out.results.resize(parent.what->items.size());
  for (const auto index : parent.ended_items) { // their results are in the journal
    auto stored = std::make_shared<reply_result>();
    stored->index = index;
    out.results.at(index) = std::move(stored);
    ++out.ended;
  }
  out.more = parent.what->more || parent.more_follows;
  out.what = std::move(parent);
  return out;
}

} // namespace

// ------------------------------------------------------------------ on its way

void responder_state::begin(responder_actor::pointer self, job what) {
  const auto id = what.id;
  if (what.is_parent) {
    const auto& batch = batches.insert_or_assign(id, assembly_of(std::move(what))).first->second;
    if (batch.complete()) // the daemon ended between the last item and the batch
      end_batch(self, id);
    return;
  }
  open.insert_or_assign(id, assembly{std::move(what)});
  counters->set_open_jobs(static_cast<double>(open.size()));
}

void responder_state::started(responder_actor::pointer self, job what, std::uint32_t worker) {
  const auto id = what.id;
  if (const auto found = open.find(id); found != open.end()) {
    found->second.started(std::move(what), worker, time->mono());
    return;
  }
  // Its cancel was faster than the job: it may not compute for nobody. The batcher has handed it to
  // the worker before it told us, so that this cancel comes after.
  mail.send(self, others->batcher, cancel_atom_v, id);
  let_go(self, id);
}

void responder_state::let_go(responder_actor::pointer self, const job_id& id) {
  mail.send(self, others->cache, settled_atom_v, id, answer_ptr{}, false);
}

void responder_state::send_delta(responder_actor::pointer self, assembly& to) {
  if (auto delta = to.take_delta()) {
    reply out;
    out.to = to.what().what->reply_to;
    out.principal = to.what().what->principal;
    out.what = std::move(*delta);
    mail.send(self, others->outbox, std::move(out));
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
  const bool first = to.tokens().empty() && !piece.tokens.empty();
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
    mail.send(self, others->ledger, piece);
    return;
  }
  send_delta(self, to);
  take(self, to);
}

void responder_state::written(responder_actor::pointer self, const job_id& id) {
  if (const auto found = open.find(id); found != open.end()) {
    found->second.written();
    send_delta(self, found->second);
    take(self, found->second);
  }
}

void responder_state::more_credit(responder_actor::pointer self, const query& more) {
  for (const auto& id : more.jobs) {
    const auto found = open.find(id);
    if (found == open.end() || !found->second.streams_to(more.reply_to))
      continue;
    found->second.add_credit(more.credit);
    send_delta(self, found->second);
  }
  mail.send(self, others->ledger, credit_atom_v, more); // whoever is attached
}

void responder_state::recall(responder_actor::pointer self, const std::vector<job_id>& ids) {
  for (const auto& id : ids) {
    const auto found = open.find(id);
    if (found == open.end())
      mail.send(self, others->batcher, finished_atom_v, UINT32_MAX, id); // it ended before
    else
      mail.send(self, others->batcher, resumed_atom_v, id, found->second.tokens());
  }
}

void responder_state::check_deadlines(responder_actor::pointer self) {
  const auto now = time->mono();
  for (auto& [id, job] : open) {
    const auto& how = job.what().how;
    if (!how || !how->deadline || *how->deadline > now || std::exchange(job.deadline_passed, true))
      continue;
    query stop; // by the job's own route, so that it cannot overtake the job
    stop.admin = true;
    stop.jobs = {id};
    mail.send(self, others->ledger, cancel_atom_v, std::move(stop));
  }
}

// ------------------------------------------------------------------ ends

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
  again.what().trace.push_back(
      trace_line("combination", again.what(), now, now,
                 fmt::format("checks failed: {}; again with seed {}", fmt::join(failed, ", "),
                             again.what().how->sampling.seed)));
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

responder_actor::behavior_type responder(responder_actor::stateful_pointer<responder_state> self,
                                         std::shared_ptr<const clock> time,
                                         std::shared_ptr<metrics> counters) {
  self->state.time = std::move(time);
  self->state.counters = std::move(counters);
  log_exceptions(self);
  self->set_exit_handler([self](const caf::exit_msg& end) {
    self->state.close(self);
    self->quit(end.reason);
  });
  self->delayed_send(self, responder_tick, tick_atom_v);
  return in_groups<responder_actor>(
      self, self->state.mail,
      [self](open_atom, job& what) { self->state.begin(self, std::move(what)); },
      [self](hit_atom, job& what, const answer_ptr& found) {
        self->state.hit(self, std::move(what), found);
      },
      [self](missed_atom, job& what) { self->state.not_cached(self, std::move(what)); },
      [self](failed_atom, const job_id& id, failure& why, std::vector<trace_entry>& trace) {
        self->state.fail(self, id, std::move(why), std::move(trace));
      },
      [self](started_atom, job& what, std::uint32_t worker) {
        self->state.started(self, std::move(what), worker);
      },
      [self](const output& piece) { self->state.add(self, piece); },
      [self](const finished& end) { self->state.finish(self, end); },
      [self](recall_atom, const std::vector<job_id>& ids) { self->state.recall(self, ids); },
      [self](cancel_atom, const job_id& id) { self->state.cancel(self, id); },
      [self](grow_atom, const job_id& id, std::uint32_t n_items, bool more) {
        self->state.grow(self, id, n_items, more);
      },
      [self](seen_atom, const job_id& id) {
        if (const auto found = self->state.open.find(id); found != self->state.open.end())
          found->second.seen();
        self->state.mail.send(self, self->state.others->ledger, seen_atom_v, id);
      },
      [self](lost_atom, const job_id& id) { self->state.open.erase(id); },
      [self](credit_atom, const query& more) { self->state.more_credit(self, more); },
      [self](written_atom, const job_id& id) { self->state.written(self, id); },
      [self](tick_atom) {
        self->state.check_deadlines(self);
        self->delayed_send(self, responder_tick, tick_atom_v);
      },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [](configure_atom, const conf::config_ptr&) {
        // Every job brings the version that it runs under.
      });
}

} // namespace bitnetd::actors
