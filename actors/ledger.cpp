// SPDX-License-Identifier: MIT
#include "actors/ledger.h"

#include "actors/errors.h"
#include "actors/guard.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds tick_interval{100};
constexpr std::chrono::minutes keep_results{10}; // of jobs that are not durable
constexpr std::size_t max_kept = 10000, max_kept_bytes = 64u << 20;
constexpr std::size_t retention_at_once = 200;
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
  const auto began = with.time->mono();
  const auto n_facts = facts->size();
  const bool synced = wants_sync();
  store::status status;
  if (n_facts > 0)
    status = facts->commit(synced ? store::durability::synced : store::durability::written);
  else if (synced)
    status = with.jobs->sync();
  if (!status) {
    if (sick.empty()) {
      log::error("the journal cannot be written: {}; new durable jobs are refused until it can",
                 status.text());
      self->send(
          others->outbox,
          event{"alert", nlohmann::json{{"what", "journal"}, {"msg", status.text()}}.dump()});
    }
    sick = status.text();
    pending.needs_sync = pending.needs_sync || synced;
    return; // the facts are kept; the next tick tries again
  }
  if (!std::exchange(sick, {}).empty())
    log::info("the journal can be written again");
  if (synced && n_facts > 0)
    with.counters->commit(
        n_facts, std::chrono::duration<double, std::milli>(with.time->mono() - began).count());
  auto done = std::exchange(pending, {});
  for (auto& jobs : done.admitted) {
    accepted(self, jobs);
    start(self, std::move(jobs));
  }
  for (const auto& [again, earlier] : done.repeated)
    attach(self, again, earlier);
  for (const auto& id : done.written)
    self->send(others->responder, written_atom_v, id);
  for (const auto& end : done.ended)
    forget(self, end);
  for (auto& end : std::exchange(late, {}))
    ended(self, std::move(end));
}

// ------------------------------------------------------------------ life of a job

void ledger_state::running(ledger_actor::pointer self, const job_id& id) {
  const auto found = open.find(id);
  if (found == open.end())
    return;
  found->second.status.state = job_state::running;
  found->second.status.started_us = now_us();
  // Written at once, so that a job which ends the process is known to have been running. Not
  // synced: after a power loss it counts as queued, which is no less true.
  if (found->second.durable && facts->set_running(id, found->second.status.started_us))
    schedule_commit(self);
}

void ledger_state::append(ledger_actor::pointer self, const output& piece) {
  const auto found = open.find(piece.id);
  if (found == open.end() || !found->second.durable)
    return;
  // From the first token on: an answer that failed its checks is drawn anew.
  if (const auto stored = facts->position(piece.id);
      piece.first_token == 0 && stored && stored->tokens > 0)
    (void)facts->reset_output(piece.id);
  const std::vector<std::uint32_t> tokens{piece.tokens.begin(), piece.tokens.end()};
  if (auto status = facts->append_output(piece.id, piece.first_token, tokens, piece.text); !status)
    log::error("job {}: its output could not be stored: {}", piece.id.text(), status.text());
  unsynced_tokens += tokens.size();
  pending.written.push_back(piece.id);
  schedule_commit(self);
}

std::string ledger_state::document_of(const job_end& end) const {
  auto out = with.encode(*end.result);
  return open.at(end.id).status.children > 0 ? batch_document(end.id, out) : out;
}

/// A batch's result with the stored results of its children in order.
std::string ledger_state::batch_document(const job_id& parent, const std::string& frame) const {
  auto out = nlohmann::json::parse(frame);
  auto items = nlohmann::json::array();
  for (std::uint32_t from = 0;;) {
    const auto rows = with.jobs->children(parent, from);
    if (!rows || rows->empty())
      break;
    for (const auto& row : *rows) {
      const auto stored = with.jobs->result_json(row.id);
      items.push_back(stored ? nlohmann::json::parse(*stored, nullptr, false)
                             : to_json(status_of(row)));
      from = row.index + 1;
    }
  }
  if (!items.empty())
    out["items"] = std::move(items);
  return out.dump();
}

void ledger_state::ended(ledger_actor::pointer self, job_end end) {
  const auto found = open.find(end.id);
  if (found == open.end())
    return;
  auto& entry = found->second;
  // Whoever ended it, it must not be released any more.
  backlog.remove(end.id);
  hot.erase(end.id);
  if (entry.durable && std::exchange(entry.released, false))
    --under_way;
  if (!entry.durable) {
    forget(self, end);
    return release(self);
  }
  // The end of a batch is written after those of its children, which may wait in this very commit.
  if (entry.status.children > 0 && !facts->empty())
    commit(self);
  if (entry.status.children > 0 && !facts->empty()) {
    late.push_back(std::move(end));
    return;
  }
  const auto document = document_of(end);
  const auto error = end.result && end.result->error ? end.result->error->message : std::string{};
  if (auto status = facts->finish(end.id, end.state, now_us(), document, error); !status)
    log::error("job {}: its end could not be journalled: {}", end.id.text(), status.text());
  pending.ended.push_back(std::move(end));
  pending.needs_sync = true;
  schedule_commit(self);
  release(self);
}

/// The end of a job is true now: tell who waits, and let go of it.
void ledger_state::forget(ledger_actor::pointer self, const job_end& end) {
  auto node = open.extract(end.id);
  if (node.empty())
    return;
  auto& entry = node.mapped();
  if (end.has_reply)
    self->send(others->outbox, end.out);
  if (entry.status.parent)
    if (const auto parent = open.find(*entry.status.parent); parent != open.end())
      ++(end.state == job_state::done ? parent->second.status.children_done
                                      : parent->second.status.children_failed);
  children.erase(end.id);
  parents.erase(end.id);
  if (entry.durable) {
    if (waiters.contains(end.id))
      if (const auto stored = with.jobs->result_json(end.id))
        tell_waiters(self, end.id, *stored);
    return;
  }
  if (!entry.askable && !waiters.contains(end.id))
    return;
  auto document = with.encode(*end.result);
  tell_waiters(self, end.id, document);
  if (!entry.askable)
    return;
  entry.status.state = end.state;
  entry.status.ended_us = now_us();
  if (end.result->error)
    entry.status.error = end.result->error->message;
  keep_result(end.id, entry, std::move(document));
}

void ledger_state::tell_waiters(ledger_actor::pointer self, const job_id& id,
                                const std::string& document) {
  if (const auto node = waiters.extract(id); !node.empty())
    for (const auto& one : node.mapped())
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

// ------------------------------------------------------------------ time

void ledger_state::tick(ledger_actor::pointer self) {
  const auto now = with.time->mono();
  if (!sick.empty())
    (void)with.jobs->resume();
  if (!facts->empty() || !sick.empty() || unsynced_tokens > 0)
    commit(self);
  for (const auto& id : backlog.wake(now_us()))
    if (const auto found = open.find(id); found != open.end())
      found->second.status.state = job_state::queued;
  for (const auto& id : backlog.take_expired(now_us())) {
    auto why = deadline_passed("the deadline passed while the job waited");
    if (auto node = hot.extract(id))
      self->send(others->responder, failed_atom_v, id, std::move(why),
                 std::move(node.mapped().trace));
    else
      end_unstarted(self, id, std::move(why));
  }
  while (!kept_order.empty()) {
    const auto oldest = kept.find(kept_order.front());
    if (oldest != kept.end() && oldest->second.until > now)
      break;
    drop_kept(kept_order.front());
    kept_order.pop_front();
  }
  for (auto& [id, list] : waiters)
    std::erase_if(list, [&](const waiter& one) {
      if (one.until > now)
        return false;
      status(self, one.who);
      return true;
    });
  std::erase_if(waiters, [](const auto& item) { return item.second.empty(); });
  if (facts->empty() && sick.empty()) {
    (void)with.jobs->remove_expired(now_us(), retention_at_once);
    if (config && with.jobs->totals().bytes > config->limits.result_bytes)
      (void)with.jobs->remove_oldest(config->limits.result_bytes / 10 * 9, retention_at_once);
  }
  const auto totals = with.jobs->totals();
  with.counters->set_journal_size(static_cast<double>(totals.jobs),
                                  static_cast<double>(totals.bytes));
  release(self);
}

void ledger_state::close(ledger_actor::pointer self) {
  for (const auto& [id, entry] : open)
    if (entry.durable && entry.status.state == job_state::running)
      (void)facts->set_state(id, job_state::queued);
  pending.needs_sync = true;
  commit(self);
}

std::uint64_t ledger_state::in_pipeline() const {
  std::uint64_t n = under_way + pending.ended.size() + pending.admitted.size() + late.size();
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
  self->delayed_send(self, tick_interval, tick_atom_v);
  self->set_exit_handler([self](const caf::exit_msg& end) {
    if (self->state.others) // else nothing has happened yet
      self->state.close(self);
    self->quit(end.reason);
  });
  return {
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
      [self](commit_atom) { self->state.commit(self); },
      [self](tick_atom) {
        self->state.tick(self);
        self->delayed_send(self, tick_interval, tick_atom_v);
      },
      [self](drain_atom, bool on) {
        self->state.holding = on;
        self->state.release(self);
      },
      [self](count_atom) -> std::uint64_t { return self->state.in_pipeline(); },
      [self](connect_atom, const peers_ptr& others) {
        const bool first = !self->state.others;
        self->state.others = others;
        if (first)
          self->state.load_backlog(self);
      },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; },
  };
}

} // namespace bitnetd::actors
