// SPDX-License-Identifier: MIT
#include "actors/responder.h"

#include "actors/guard.h"
#include "base/log.h"

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
    counters->first_token(ms_between(to.what().what->arrived, time->mono()));
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
