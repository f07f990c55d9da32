// SPDX-License-Identifier: MIT
#include "actors/ledger.h"

#include "actors/guard.h"
#include "base/fault.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds ledger_tick{100};
constexpr std::chrono::minutes keep_results{10}; // of jobs that are not durable
constexpr std::size_t max_kept = 10000, max_kept_bytes = 64u << 20;
// Output survives the process once it is written; so much of it, at most, is lost with the power.
constexpr std::size_t max_unsynced_tokens = 32;
constexpr std::chrono::seconds max_unsynced_time{2};

} // namespace

// ------------------------------------------------------------------ commit

/// Whether the next commit has to reach the disk, not only the kernel.
bool ledger_state::wants_sync() {
  const auto now = with.time->mono();
  const bool output_is_due = unsynced_tokens >= max_unsynced_tokens ||
                             (unsynced_tokens > 0 && now - last_sync >= max_unsynced_time);
  if (!pending.needs_sync && !output_is_due)
    return false;
  unsynced_tokens = 0;
  last_sync = now;
  return true;
}

void ledger_state::commit(ledger_actor::pointer self) {
  commit_due = false;
  if (disk_failed)
    return;
  const auto began = with.time->mono();
  const auto n_facts = facts->size();
  const bool synced = wants_sync();
  store::status status;
  if (n_facts > 0)
    status = facts->commit(synced ? store::durability::synced : store::durability::written);
  else if (synced)
    status = with.jobs->sync();
  if (!status)
    return failed_commit(self, status, synced); // the facts are kept
  if (!std::exchange(sick, {}).empty())
    log::info("the journal can be written again");
  if (synced && n_facts > 0)
    with.counters->commit(n_facts, ms_between(began, with.time->mono()));
  BITNETD_FAULT_POINT("ledger.committed");
  auto done = std::exchange(pending, {});
  for (auto& jobs : done.admitted) {
    accepted(self, jobs);
    start(self, std::move(jobs));
  }
  for (const auto& [again, earlier] : done.repeated)
    repeat(self, again, earlier);
  for (const auto& id : done.written)
    mail.send(self, others->responder, written_atom_v, id);
  std::vector<job_id> batches;
  for (auto& end : done.ended) {
    if (const auto found = open.find(end.id); found != open.end() && found->second.status.parent)
      batches.push_back(*found->second.status.parent);
    forget(self, std::move(end));
  }
  if (readers.empty())
    return;
  for (const auto& id : done.written)
    feed(self, id);
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  for (const auto& id : batches)
    feed(self, id);
}

void ledger_state::failed_commit(ledger_actor::pointer self, const store::status& why,
                                 bool synced) {
  if (sick.empty()) {
    log::error("the journal cannot be written: {}; new durable jobs are refused until it can",
               why.text());
    mail.send(self, others->outbox,
              event{"alert", nlohmann::json{{"what", "journal"}, {"msg", why.text()}}.dump()});
  }
  sick = why.text();
  pending.needs_sync = pending.needs_sync || synced;
  if (why.code() == store::errc::no_space)
    return; // the next tick tries again
  // After a failed sync the kernel may have dropped what it could not write and say so only once:
  // a sync that succeeds later would prove nothing. A new process reads what is really there.
  disk_failed = true;
  if (others->supervisor)
    self->send(others->supervisor, failed_atom_v, "the journal failed: " + why.text());
}

// ------------------------------------------------------------------ life of a job

void ledger_state::running(ledger_actor::pointer self, const job_id& id) {
  const auto found = open.find(id);
  if (found == open.end())
    return;
  BITNETD_FAULT_POINT("ledger.running");
  found->second.status.state = job_state::running;
  found->second.status.started_us = now_us();
  // Written before any output of it is, so that a job which ends the process is known to have been
  // running. Not synced: after a power loss it counts as queued, which is no less true.
  if (found->second.durable && facts->set_running(id, found->second.status.started_us)) {
    pending.has_starts = true;
    schedule_commit(self);
  }
}

void ledger_state::append(ledger_actor::pointer self, const output& piece) {
  const auto found = open.find(piece.id);
  if (found == open.end() || !found->second.durable)
    return;
  if (pending.has_starts) // comes in one group with its start
    commit(self);
  const std::vector<std::uint32_t> tokens{piece.tokens.begin(), piece.tokens.end()};
  if (auto status = facts->append_output(piece.id, piece.first_token, tokens, piece.text); !status)
    log::error("job {}: its output could not be stored: {}", piece.id.text(), status.text());
  BITNETD_FAULT_POINT("ledger.output");
  unsynced_tokens += tokens.size();
  pending.written.push_back(piece.id);
  schedule_commit(self);
}

/// An answer failed its checks: what was stored of it is void, and what comes is drawn with another
/// seed, after a restart as well.
void ledger_state::redrawn(ledger_actor::pointer self, const job_id& id, std::uint64_t seed,
                           std::uint32_t retries) {
  const auto found = open.find(id);
  if (found == open.end() || !found->second.durable)
    return;
  start_over(self, id);
  const auto row = facts->find(id);
  auto how = row ? read_options(row->options) : std::nullopt;
  if (!how)
    return;
  how->sampling.seed = seed;
  how->retries = retries;
  if (auto status = facts->set_options(id, to_text(*how)); !status)
    log::error("job {}: its seed could not be stored: {}", id.text(), status.text());
}

void ledger_state::start_over(ledger_actor::pointer self, const job_id& id) {
  if (!facts->empty()) // may hold output of this job
    commit(self);
  if (auto status = facts->reset_output(id); !status)
    log::error("job {}: its output could not be dropped: {}", id.text(), status.text());
  schedule_commit(self);
  rewind_readers(self, id, 0);
}

std::string ledger_state::document_of(const job_end& end) const {
  const auto& status = open.at(end.id).status;
  if (status.parent) { // read alone, an item still tells its place
    auto out = with.encode(*end.result);
    out.back() = ',';
    return out + "\"index\":" + std::to_string(status.index) + "}";
  }
  if (status.children == 0)
    return with.encode(*end.result);
  // Of a batch the frame: its items have their results, which are put in where they are read.
  auto frame = *end.result;
  frame.items.resize(std::min<std::size_t>(frame.items.size(), 1)); // one says that it is a batch
  auto out = nlohmann::json::parse(with.encode(frame));
  out.erase("items");
  return out.dump();
}

void ledger_state::ended(ledger_actor::pointer self, job_end end) {
  const auto found = open.find(end.id);
  if (found == open.end())
    return;
  auto& entry = found->second;
  // Whoever ended it, it must not be released any more.
  if (hot.erase(end.id) > 0)
    (void)backlog.remove(order_of(entry.status));
  if (entry.durable && std::exchange(entry.released, false))
    --under_way;
  if (!entry.durable) {
    forget(self, std::move(end));
    return release(self);
  }
  const auto error = end.result && end.result->error ? end.result->error->message : std::string{};
  if (auto status = facts->finish(end.id, end.state, now_us(), document_of(end), error); !status)
    log::error("job {}: its end could not be journalled: {}", end.id.text(), status.text());
  BITNETD_FAULT_POINT("ledger.end");
  pending.ended.push_back(std::move(end));
  pending.needs_sync = true;
  schedule_commit(self);
  release(self);
}

/// The end of a job is true now: tell who waits, and let go of it.
void ledger_state::forget(ledger_actor::pointer self, job_end end) {
  auto node = open.extract(end.id);
  if (node.empty())
    return;
  auto& entry = node.mapped();
  const bool is_batch = entry.status.children > 0;
  const auto waiting = waiters.find(end.id);
  const bool asked =
      waiting != waiters.end() && !std::ranges::all_of(waiting->second, &waiter::wants_state);
  const bool read = readers.contains(end.id);
  const bool tells_items = entry.durable && is_batch && end.has_reply &&
                           std::holds_alternative<result_ptr>(end.out.what);
  std::string document;
  if (entry.durable && (asked || tells_items))
    document = stored_result(end.id).value_or(std::string{});
  else if (!entry.durable && (asked || read || entry.askable))
    document = with.encode(*end.result);
  if (tells_items)
    end.out.what = reply_document{"result", document};
  if (end.has_reply && BITNETD_SEEDED_BUG("double_publish"))
    mail.send(self, others->outbox, end.out);
  if (end.has_reply)
    mail.send(self, others->outbox, std::move(end.out));
  BITNETD_FAULT_POINT("ledger.told");
  if (entry.status.parent)
    if (const auto parent = open.find(*entry.status.parent); parent != open.end())
      ++(end.state == job_state::done ? parent->second.status.children_done
                                      : parent->second.status.children_failed);
  children.erase(end.id);
  entry.status.state = end.state;
  if (waiting != waiters.end())
    tell_waiters(self, end.id, document, end.state);
  if (read) {
    if (entry.durable)
      document = ended_document(end.id).value_or(std::string{});
    finish_readers(self, end.id, document, entry.durable && is_batch);
  }
  if (entry.durable || !entry.askable)
    return;
  entry.status.ended_us = now_us();
  if (end.result->error)
    entry.status.error = end.result->error->message;
  keep_result(end.id, entry, std::move(document));
}

void ledger_state::tell_waiters(ledger_actor::pointer self, const job_id& id,
                                const std::string& document, job_state state) {
  const auto node = waiters.extract(id);
  for (const auto& one : node.mapped())
    if (one.wants_state)
      tell_state(self, one.who, id, state);
    else
      answer(self, one, document);
}

void ledger_state::keep_result(const job_id& id, const open_job& entry, std::string document) {
  kept_bytes += document.size();
  kept.insert_or_assign(id, kept_result{entry.status.principal, entry.key, entry.status,
                                        std::move(document), with.time->mono() + keep_results});
  kept_order.push_back(id);
  while (kept.size() > max_kept || kept_bytes > max_kept_bytes) {
    drop_kept(kept_order.front());
    kept_order.pop_front();
  }
}

void ledger_state::drop_kept(const job_id& id) {
  const auto node = kept.extract(id);
  if (node.empty())
    return;
  kept_bytes -= node.mapped().document.size();
  keys.erase({node.mapped().principal, node.mapped().key});
}

void ledger_state::close(ledger_actor::pointer self) {
  if (disk_failed)
    return;
  for (const auto& [id, entry] : open)
    if (entry.durable && entry.status.state == job_state::running)
      (void)facts->set_state(id, job_state::queued);
  pending.needs_sync = true;
  commit(self);
}

std::uint64_t ledger_state::in_pipeline() const {
  std::uint64_t n = under_way + pending.ended.size() + pending.admitted.size();
  for (const auto& [id, entry] : open)
    n += !entry.durable && entry.status.children == 0;
  return n;
}

ledger_actor::behavior_type ledger(ledger_actor::stateful_pointer<ledger_state> self,
                                   ledger_options options) {
  auto& state = self->state;
  state.with = std::move(options);
  state.facts.emplace(state.with.jobs->begin());
  state.last_sync = state.with.time->mono();
  log_exceptions(self);
  self->set_exit_handler([self](const caf::exit_msg& end) {
    if (self->state.others) // else nothing has happened yet
      self->state.close(self);
    self->quit(end.reason);
  });
  return in_groups<ledger_actor>(
      self, self->state.mail,
      [self](admit_atom, std::vector<job>& jobs) { self->state.admit(self, std::move(jobs)); },
      [self](recovered_atom, job& what) { self->state.recovered(self, std::move(what)); },
      [self](lost_atom, const job_id& id, const failure& why) { self->state.lost(self, id, why); },
      [self](missed_atom, job& what) { self->state.missed(self, std::move(what)); },
      [self](credit_atom, std::uint32_t window) {
        self->state.window = window;
        self->state.release(self);
      },
      [self](running_atom, const job_id& id) { self->state.running(self, id); },
      [self](const output& piece) { self->state.append(self, piece); },
      [self](ended_atom, job_end& end) { self->state.ended(self, std::move(end)); },
      [self](cancel_atom, const query& what) { self->state.cancel(self, what); },
      [self](status_atom, const query& what) { self->state.status(self, what); },
      [self](result_atom, const query& what) { self->state.result(self, what); },
      [self](list_atom, const query& what) { self->state.list(self, what); },
      [self](ack_atom, const query& what) { self->state.acknowledge(self, what); },
      [self](attach_atom, const query& what) { self->state.attach(self, what); },
      [self](detach_atom, const query& what) { self->state.detach(self, what); },
      [self](credit_atom, const query& what) { self->state.more_credit(self, what); },
      [self](manage_atom, const std::string& order, const query& what) {
        self->state.manage(self, order, what);
      },
      [self](redrawn_atom, const job_id& id, std::uint64_t seed, std::uint32_t retries) {
        self->state.redrawn(self, id, seed, retries);
      },
      [self](seen_atom, const job_id& id) { self->state.seen(self, id); },
      [self](park_atom) { self->state.park(self); },
      [self](commit_atom) { self->state.commit(self); },
      [self](tick_atom) {
        self->state.tick(self);
        self->delayed_send(self, ledger_tick, tick_atom_v);
      },
      [self](drain_atom, bool on) {
        self->state.holding = on;
        self->state.release(self);
      },
      [self](count_atom) -> std::uint64_t { return self->state.in_pipeline(); },
      [self](connect_atom, const peers_ptr& others) {
        const bool first = !self->state.others;
        self->state.others = others;
        if (!first)
          return;
        self->state.load_backlog(self);
        self->state.holding = false; // all is known
        self->state.release(self);
        self->delayed_send(self, ledger_tick, tick_atom_v); // it needs the others, too
      },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; });
}

} // namespace bitnetd::actors
