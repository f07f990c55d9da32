// SPDX-License-Identifier: MIT
#include "actors/ledger.h"

#include "actors/errors.h"
#include "actors/trace.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds tick_interval{100};
constexpr std::chrono::minutes keep_results{10}; // of jobs that are not durable
constexpr std::size_t max_kept = 10000;
constexpr std::size_t max_hot = 4096; // waiting durable jobs in memory; the others are read again
constexpr std::size_t retention_at_once = 200;

} // namespace

void ledger_state::schedule_commit(ledger_actor::pointer self) {
  // All that arrive before the commit's turn go into the same write and sync.
  if (!std::exchange(commit_due, true))
    self->send(self, commit_atom_v);
}

void ledger_state::tell(ledger_actor::pointer self, const query& who, std::string type,
                        std::string body) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_document{std::move(type), std::move(body)};
  self->send(others->outbox, std::move(out));
}

void ledger_state::tell_error(ledger_actor::pointer self, const query& who, failure why) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_error{std::move(why), std::nullopt, {}, {}, {}};
  self->send(others->outbox, std::move(out));
}

// ------------------------------------------------------------------ acceptance

void ledger_state::refuse(ledger_actor::pointer self, const job& first, failure why) {
  with.counters->refused(why.name);
  reply out;
  out.to = first.what->reply_to;
  out.principal = first.what->principal;
  out.release_jobs = static_cast<std::uint32_t>(first.what->items.size());
  out.release_bytes = first.what->body.size();
  out.what = reply_error{std::move(why), std::nullopt, {}, {}, {}};
  self->send(others->outbox, std::move(out));
}

void ledger_state::attach(ledger_actor::pointer self, const job& again, const job_id& earlier,
                          bool ended) {
  const auto& what = *again.what;
  const bool waits = what.mode != reply_mode::job || what.wait_result;
  waiter entry;
  entry.who.reply_to = what.reply_to;
  entry.who.principal = what.principal;
  entry.who.jobs = {earlier};
  entry.until = mono_time::max();
  entry.release_jobs = static_cast<std::uint32_t>(what.items.size());
  entry.release_bytes = what.body.size();
  if (what.mode != reply_mode::sync) {
    reply_accepted known;
    known.job = earlier;
    known.durable = known.fsync = what.durable;
    known.duplicate = true;
    reply out;
    out.to = what.reply_to;
    out.principal = what.principal;
    out.what = known;
    if (!waits) {
      out.release_jobs = entry.release_jobs;
      out.release_bytes = entry.release_bytes;
    }
    self->send(others->outbox, std::move(out));
  }
  if (!waits)
    return;
  waiters[earlier].push_back(std::move(entry));
  if (!ended)
    return;
  if (const auto held = kept.find(earlier); held != kept.end())
    tell_waiters(self, earlier, held->second.document);
  else if (const auto stored = with.jobs->result_json(earlier))
    tell_waiters(self, earlier, *stored);
}

bool ledger_state::known_before(ledger_actor::pointer self, const job& first) {
  const auto& what = *first.what;
  if (what.key.empty())
    return false;
  hash128 fingerprint;
  job_id earlier;
  if (const auto found = keys.find({what.principal, what.key}); found != keys.end()) {
    fingerprint = found->second.fingerprint;
    earlier = found->second.job;
  } else {
    auto stored = facts->find_by_key(what.principal, what.key, now_us());
    if (!stored)
      stored = with.jobs->find_by_key(what.principal, what.key, now_us());
    if (!stored)
      return false;
    fingerprint = stored->fingerprint;
    earlier = stored->job;
  }
  if (fingerprint != what.fingerprint)
    refuse(self, first, key_conflict());
  else
    attach(self, first, earlier, !open.contains(earlier));
  return true;
}

store::status ledger_state::record(const std::vector<job>& jobs) {
  for (const auto& one : jobs) {
    const auto& what = *one.what;
    store::job_record row;
    row.id = one.id;
    row.principal = what.principal;
    row.parent = one.parent;
    row.index = one.index;
    row.is_batch = one.is_parent;
    row.items = 0; // grow() below counts them
    if (!one.parent) {
      row.key = what.key;
      row.fingerprint = what.fingerprint;
      row.request = what.body;
    }
    row.cls = one.how ? one.how->cls : what.wanted_class.value_or(job_class::batch);
    row.created_us = to_wall_us(what.arrived_wall);
    row.deadline_us = what.deadline ? row.created_us + what.deadline->count() * 1000 : 0;
    row.not_before_us = what.not_before ? to_wall_us(*what.not_before) : 0;
    row.retention_us = std::chrono::duration_cast<microseconds>(
                           what.result_ttl.value_or(config->limits.result_retention))
                           .count();
    row.model = one.how ? one.how->model->name : what.model;
    if (auto status = facts->accept(row); !status)
      return status;
  }
  if (jobs.front().is_parent)
    return facts->grow(jobs.front().id, static_cast<std::uint32_t>(jobs.size() - 1), false);
  return {};
}

void ledger_state::remember(const job& what, std::size_t items) {
  open_job entry;
  entry.durable = what.what->durable;
  auto& status = entry.status;
  status.id = what.id;
  status.principal = what.what->principal;
  status.state = job_state::queued;
  status.cls = what.how ? what.how->cls : what.what->wanted_class.value_or(job_class::batch);
  status.model = what.how ? what.how->model->name : what.what->model;
  status.attempt = what.attempt;
  status.created_us = to_wall_us(what.what->arrived_wall);
  status.deadline_us =
      what.what->deadline ? status.created_us + what.what->deadline->count() * 1000 : 0;
  status.parent = what.parent;
  status.index = what.index;
  if (what.is_parent)
    status.children = static_cast<std::uint32_t>(items);
  if (!what.parent)
    entry.key = what.what->key;
  if (what.parent)
    children[*what.parent].push_back(what.id);
  open.insert_or_assign(what.id, std::move(entry));
}

void ledger_state::admit(ledger_actor::pointer self, std::vector<job> jobs) {
  const auto& first = jobs.front();
  if (known_before(self, first))
    return;
  if (!first.what->durable) {
    if (!first.what->key.empty())
      keys.insert_or_assign({first.what->principal, first.what->key},
                            known_key{first.id, first.what->fingerprint});
    for (const auto& one : jobs)
      remember(one, jobs.size() - 1);
    if (first.what->mode != reply_mode::sync)
      accepted(self, jobs);
    return start(self, std::move(jobs));
  }
  if (!sick.empty())
    return refuse(self, first, disk("the journal cannot be written: " + sick));
  if (auto status = record(jobs); !status) {
    log::error("job {} could not be journalled: {}", first.id.text(), status.text());
    // What of a batch was recorded before the failure is taken back in the same commit.
    for (const auto& one : jobs)
      (void)facts->finish(one.id, job_state::failed, now_us(), {}, status.text());
    (void)facts->remove(first.id);
    return refuse(self, first, internal("the journal refused the job: " + status.text()));
  }
  for (const auto& one : jobs)
    remember(one, jobs.size() - 1);
  pending.admitted.push_back(std::move(jobs));
  pending.needs_sync = true;
  schedule_commit(self);
}

void ledger_state::accepted(ledger_actor::pointer self, const std::vector<job>& jobs) {
  const auto& first = jobs.front();
  for (const auto& one : jobs)
    if (!one.is_parent)
      with.counters->job_accepted(open.at(one.id).status.cls);
  reply_accepted said;
  said.job = first.id;
  said.durable = said.fsync = first.what->durable;
  said.children = static_cast<std::uint32_t>(jobs.size() - 1);
  said.eta_ms = first.eta_ms;
  reply out;
  out.to = first.what->reply_to;
  out.principal = first.what->principal;
  // A durable job without wait is on the disk now: the front may stop counting it.
  if (first.what->durable && first.what->mode == reply_mode::job && !first.what->wait_result) {
    out.release_jobs = static_cast<std::uint32_t>(first.what->items.size());
    out.release_bytes = first.what->body.size();
  }
  out.what = said;
  self->send(others->outbox, std::move(out));
}

void ledger_state::start(ledger_actor::pointer self, std::vector<job> jobs) {
  const bool durable = jobs.front().what->durable;
  for (auto& one : jobs) {
    self->send(others->responder, open_atom_v, one);
    if (one.is_parent)
      continue;
    if (one.refused)
      self->send(others->responder, failed_atom_v, one.id, *one.refused, std::move(one.trace));
    else if (durable)
      self->send(others->cache, probe_atom_v, std::move(one)); // a hit never waits in the queue
    else
      self->send(others->cache, lookup_atom_v, std::move(one));
  }
}

// ------------------------------------------------------------------ release

void ledger_state::missed(ledger_actor::pointer self, job what) {
  const auto found = open.find(what.id);
  if (found == open.end())
    return;
  release_queue::entry entry{what.id, found->second.status.cls, found->second.status.deadline_us,
                             0};
  if (what.what->not_before) {
    entry.not_before_us = to_wall_us(*what.what->not_before);
    if (entry.not_before_us > now_us())
      found->second.status.state = job_state::scheduled;
  }
  const auto id = what.id;
  hot.insert_or_assign(id, std::move(what));
  backlog.push(entry, now_us());
  if (found->second.cancel_asked)
    return cancel_one(self, id);
  release(self);
}

void ledger_state::release(ledger_actor::pointer self) {
  while (under_way < window && !holding) {
    const auto next = backlog.pop();
    if (!next)
      return;
    ++under_way;
    if (auto& entry = open.at(*next); true)
      entry.released = true;
    if (auto node = hot.extract(*next))
      self->send(others->cache, lookup_atom_v, std::move(node.mapped()));
    else
      run_again(self, *next);
  }
}

void ledger_state::run_again(ledger_actor::pointer self, const job_id& id) {
  const auto row = with.jobs->find(id);
  if (!row)
    return lost(self, id, internal("its record cannot be read: " + row.why().text()));
  try {
    request_ptr what;
    if (row->parent) {
      auto& whole = parents[*row->parent];
      if (!whole) {
        const auto body = with.jobs->request(*row->parent);
        if (!body)
          return lost(self, id, internal("its request cannot be read: " + body.why().text()));
        whole = with.decode(row->principal, *body);
      }
      auto one = std::make_shared<request>(*whole);
      one->items = {whole->items.at(row->index)};
      one->is_batch = false;
      one->wanted_class = row->cls;
      what = std::move(one);
    } else {
      const auto body = with.jobs->request(id);
      if (!body)
        return lost(self, id, internal("its request cannot be read: " + body.why().text()));
      what = with.decode(row->principal, *body);
    }
    auto again = std::make_shared<request>(*what);
    again->durable = true;
    again->arrived = with.time->mono();
    again->arrived_wall = wall_time{microseconds{row->created_us}};
    again->deadline.reset();
    if (row->deadline_us > 0)
      again->deadline =
          milliseconds{std::max<std::int64_t>(1, (row->deadline_us - now_us()) / 1000)};
    if (facts->reset_output(id))
      schedule_commit(self); // it starts over: what was drawn before is drawn anew
    self->send(others->analyzer, recover_atom_v, request_ptr{std::move(again)}, id,
               row->attempts + 1);
  } catch (const std::exception& error) {
    lost(self, id, internal(std::string{"its stored request no longer fits: "} + error.what()));
  }
}

void ledger_state::recovered(ledger_actor::pointer self, job what) {
  const auto found = open.find(what.id);
  if (found == open.end())
    return;
  what.parent = found->second.status.parent;
  what.index = found->second.status.index;
  self->send(others->responder, open_atom_v, what);
  if (found->second.cancel_asked)
    self->send(others->responder, failed_atom_v, what.id, cancelled(), std::move(what.trace));
  else
    self->send(others->cache, lookup_atom_v, std::move(what));
}

void ledger_state::lost(ledger_actor::pointer self, const job_id& id, const failure& why) {
  const auto found = open.find(id);
  if (found == open.end())
    return;
  log::error("job {} cannot be run again: {}", id.text(), why.message);
  job nothing;
  nothing.id = id;
  auto what = std::make_shared<request>();
  what->principal = found->second.status.principal;
  what->durable = true;
  what->items.resize(1);
  nothing.what = std::move(what);
  nothing.recovered = true;
  nothing.parent = found->second.status.parent;
  nothing.index = found->second.status.index;
  self->send(others->responder, open_atom_v, std::move(nothing));
  self->send(others->responder, failed_atom_v, id, why, std::vector<trace_entry>{});
}

void ledger_state::load_backlog(ledger_actor::pointer self) {
  std::vector<store::open_job> rows;
  const auto read = with.jobs->for_each_open([&rows](const store::open_job& row) {
    rows.push_back(row);
    return true;
  });
  if (!read)
    log::error("the journal's index cannot be read: {}", read.text());
  std::size_t again = 0, dead = 0;
  std::vector<job> batches;
  std::map<job_id, std::size_t> batch_at;
  for (const auto& row : rows) {
    const auto record = with.jobs->find(row.id);
    if (!record) {
      log::error("job {} is in the journal and cannot be read: {}", row.id.text(),
                 record.why().text());
      continue;
    }
    open_job entry;
    entry.durable = true;
    entry.status = status_of(*record);
    entry.status.state = job_state::queued;
    entry.key = record->key;
    if (record->is_batch) {
      const auto body = with.jobs->request(row.id);
      try {
        if (body)
          parents[row.id] = with.decode(record->principal, *body);
      } catch (const std::exception& error) {
        log::error("batch {}: its request no longer fits: {}", row.id.text(), error.what());
      }
      if (!parents.contains(row.id))
        parents[row.id] = std::make_shared<request>();
      job parent;
      parent.id = row.id;
      auto what = std::make_shared<request>(*parents[row.id]);
      what->principal = record->principal;
      what->durable = true;
      what->is_batch = true;
      what->items.resize(record->items);
      parent.what = std::move(what);
      parent.is_parent = parent.recovered = true;
      batch_at[row.id] = batches.size();
      batches.push_back(std::move(parent));
      open.insert_or_assign(row.id, std::move(entry));
      continue;
    }
    if (record->state == job_state::running) {
      const auto crashes = facts->count_crash(row.id);
      if (crashes && *crashes >= 2) {
        log::error("job {} was running in {} crashes: it is dead and not tried again",
                   row.id.text(), *crashes);
        job_end end;
        end.id = row.id;
        end.state = job_state::dead;
        end.durable = true;
        auto result = std::make_shared<reply_result>();
        result->job = row.id;
        result->state = job_state::dead;
        result->error = internal("the job was running in two crashes of the daemon");
        result->index = record->index;
        end.result = std::move(result);
        open.insert_or_assign(row.id, std::move(entry));
        ended(self, std::move(end));
        ++dead;
        continue;
      }
    }
    if (record->parent)
      children[*record->parent].push_back(row.id);
    open.insert_or_assign(row.id, std::move(entry));
    backlog.push({row.id, row.cls, row.deadline_us, row.not_before_us}, now_us());
    ++again;
  }
  for (auto& parent : batches) {
    const auto& still_open = children[parent.id];
    std::vector<bool> waits(parent.what->items.size(), false);
    for (const auto& child : still_open)
      if (const auto index = open.at(child).status.index; index < waits.size())
        waits[index] = true;
    for (std::uint32_t i = 0; i < waits.size(); ++i)
      if (!waits[i])
        parent.ended_items.push_back(i);
    self->send(others->responder, open_atom_v, std::move(parent));
  }
  pending.needs_sync = pending.needs_sync || !facts->empty();
  if (!facts->empty())
    schedule_commit(self);
  if (again + dead + batches.size() > 0)
    log::info("journal: {} jobs run again, {} batches continue, {} dead", again, batches.size(),
              dead);
  release(self);
}

// ------------------------------------------------------------------ life of a job

void ledger_state::running(const job_id& id) {
  const auto found = open.find(id);
  if (found == open.end())
    return;
  found->second.status.state = job_state::running;
  found->second.status.started_us = now_us();
  // Not synced by itself: after a power loss it counts as queued, which is no less true.
  if (found->second.durable)
    (void)facts->set_running(id, found->second.status.started_us);
}

void ledger_state::append(ledger_actor::pointer self, const output& piece) {
  const auto found = open.find(piece.id);
  if (found == open.end() || !found->second.durable)
    return;
  const std::vector<std::uint32_t> tokens{piece.tokens.begin(), piece.tokens.end()};
  if (auto status = facts->append_output(piece.id, piece.first_token, tokens, piece.text); !status)
    log::error("job {}: its output could not be stored: {}", piece.id.text(), status.text());
  pending.written.push_back(piece.id);
  schedule_commit(self);
}

std::string ledger_state::document_of(const job_end& end) const {
  auto out = with.encode(*end.result);
  return children.contains(end.id) || open.at(end.id).status.children > 0
             ? batch_document(end.id, out)
             : out;
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
  if (entry.durable && std::exchange(entry.released, false))
    --under_way;
  if (!entry.durable) {
    forget(self, end);
    return release(self);
  }
  // The end of a batch is written after those of its children, which may wait in this very commit.
  if (entry.status.children > 0 && !facts->empty())
    commit(self);
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
  backlog.remove(end.id);
  hot.erase(end.id);
  if (entry.status.parent)
    if (const auto parent = open.find(*entry.status.parent); parent != open.end()) {
      ++(end.state == job_state::done ? parent->second.status.children_done
                                      : parent->second.status.children_failed);
    }
  children.erase(end.id);
  parents.erase(end.id);
  entry.status.state = end.state;
  entry.status.ended_us = now_us();
  if (end.result && end.result->error)
    entry.status.error = end.result->error->message;
  if (entry.durable) {
    if (waiters.contains(end.id))
      if (const auto stored = with.jobs->result_json(end.id))
        tell_waiters(self, end.id, *stored);
    return;
  }
  // A sync or stream job without a key was answered and cannot be asked for again.
  const bool wanted = !entry.key.empty() || waiters.contains(end.id) || !end.has_reply;
  if (!wanted || !end.result || entry.status.parent)
    return;
  kept_result result{entry.status.principal, entry.key, entry.status, with.encode(*end.result),
                     with.time->mono() + keep_results};
  tell_waiters(self, end.id, result.document);
  kept.insert_or_assign(end.id, std::move(result));
  kept_order.push_back(end.id);
}

void ledger_state::tell_waiters(ledger_actor::pointer self, const job_id& id,
                                const std::string& document) {
  auto node = waiters.extract(id);
  if (node.empty())
    return;
  for (const auto& one : node.mapped()) {
    reply out;
    out.to = one.who.reply_to;
    out.principal = one.who.principal;
    out.release_jobs = one.release_jobs;
    out.release_bytes = one.release_bytes;
    out.what = reply_document{"result", document};
    self->send(others->outbox, std::move(out));
  }
}

void ledger_state::commit(ledger_actor::pointer self) {
  commit_due = false;
  const auto began = with.time->mono();
  const auto n_facts = facts->size();
  const auto how = pending.needs_sync ? store::durability::synced : store::durability::written;
  if (auto status = facts->commit(how); !status) {
    if (sick.empty()) {
      log::error("the journal cannot be written: {}; new durable jobs are refused until it can",
                 status.text());
      self->send(
          others->outbox,
          event{"alert", nlohmann::json{{"what", "journal"}, {"msg", status.text()}}.dump()});
    }
    sick = status.text();
    return; // the facts are kept; the next tick tries again
  }
  if (!std::exchange(sick, {}).empty())
    log::info("the journal can be written again");
  if (pending.needs_sync)
    with.counters->commit(
        n_facts, std::chrono::duration<double, std::milli>(with.time->mono() - began).count());
  auto done = std::exchange(pending, {});
  for (auto& jobs : done.admitted) {
    accepted(self, jobs);
    start(self, std::move(jobs));
  }
  for (const auto& id : done.written)
    self->send(others->responder, written_atom_v, id);
  for (const auto& end : done.ended)
    forget(self, end);
}

// ------------------------------------------------------------------ questions

std::optional<job_status> ledger_state::find(const query& who, const job_id& id) const {
  const auto mine = [&who](const std::string& principal) {
    return who.admin || principal == who.principal;
  };
  if (const auto found = open.find(id); found != open.end())
    return mine(found->second.status.principal) ? std::optional{found->second.status}
                                                : std::nullopt;
  if (const auto held = kept.find(id); held != kept.end())
    return mine(held->second.principal) ? std::optional{held->second.status} : std::nullopt;
  const auto row = with.jobs->find(id);
  if (!row || !mine(row->principal))
    return std::nullopt;
  return status_of(*row);
}

void ledger_state::status(ledger_actor::pointer self, const query& what) {
  auto jobs = nlohmann::json::array();
  for (const auto& id : what.jobs) {
    if (const auto known = find(what, id))
      jobs.push_back(to_json(*known));
    else if (what.jobs.size() == 1)
      return tell_error(self, what, no_job());
    else
      jobs.push_back(
          {{"job", id.text()},
           {"error",
            {{"code", no_job().code}, {"name", no_job().name}, {"msg", no_job().message}}}});
  }
  tell(self, what, "status", nlohmann::json{{"jobs", std::move(jobs)}}.dump());
}

void ledger_state::result(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known)
    return tell_error(self, what, no_job());
  if (!is_terminal(known->state)) {
    if (what.wait.count() == 0)
      return status(self, what);
    waiters[id].push_back({what, with.time->mono() + what.wait, 0, 0});
    return;
  }
  if (const auto held = kept.find(id); held != kept.end())
    return tell(self, what, "result", held->second.document);
  const auto stored = with.jobs->result_json(id);
  if (!stored)
    return tell_error(self, what, no_job());
  tell(self, what, "result", *stored);
}

void ledger_state::list(ledger_actor::pointer self, const query& what) {
  auto jobs = nlohmann::json::array();
  nlohmann::json out;
  const auto wanted = [&what](job_state state) {
    return what.states.empty() || std::ranges::find(what.states, state) != what.states.end();
  };
  if (what.batch) {
    if (!find(what, *what.batch))
      return tell_error(self, what, no_job());
    const auto from =
        what.cursor.empty()
            ? 0u
            : static_cast<std::uint32_t>(std::strtoul(what.cursor.c_str(), nullptr, 10));
    if (const auto rows = with.jobs->children(*what.batch, from, what.limit)) {
      for (const auto& row : *rows) {
        const auto live = open.find(row.id);
        const auto known = live == open.end() ? status_of(row) : live->second.status;
        if (wanted(known.state))
          jobs.push_back(to_json(known));
      }
      if (rows->size() == what.limit)
        out["cursor"] = std::to_string(rows->back().index + 1);
    }
  } else {
    if (what.cursor.empty()) // what is not in the journal comes first, on the first page
      for (const auto& [id, entry] : open)
        if (!entry.durable && !entry.status.parent && wanted(entry.status.state) &&
            (what.admin || entry.status.principal == what.principal) && jobs.size() < what.limit)
          jobs.push_back(to_json(entry.status));
    store::list_query page;
    if (!what.admin)
      page.principal = what.principal;
    page.states = {}; // live states are in memory: filtered here
    page.limit = std::clamp<std::size_t>(what.limit, 1, 500);
    page.after = job_id::parse(what.cursor);
    if (const auto rows = with.jobs->list(page)) {
      for (const auto& row : rows->jobs) {
        const auto live = open.find(row.id);
        const auto known = live == open.end() ? status_of(row) : live->second.status;
        if (wanted(known.state))
          jobs.push_back(to_json(known));
      }
      if (rows->next)
        out["cursor"] = rows->next->text();
    }
  }
  out["jobs"] = std::move(jobs);
  tell(self, what, "list", out.dump());
}

void ledger_state::cancel_one(ledger_actor::pointer self, const job_id& id) {
  auto& entry = open.at(id);
  entry.cancel_asked = true;
  if (!backlog.remove(id)) {
    self->send(others->cache, cancel_atom_v, id);
    return;
  }
  if (auto node = hot.extract(id)) {
    self->send(others->responder, failed_atom_v, id, cancelled(), std::move(node.mapped().trace));
    return;
  }
  entry.released = true; // it waits on disk only: read it, then end it
  ++under_way;
  run_again(self, id);
}

void ledger_state::cancel(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known) // a front that gave up on a client asks without waiting for an answer
    return tell_error(self, what, no_job());
  auto state = known->state;
  if (!is_terminal(state)) {
    if (const auto batch = children.find(id); batch != children.end()) {
      for (const auto& child : std::vector<job_id>{batch->second})
        if (open.contains(child))
          cancel_one(self, child);
    } else {
      cancel_one(self, id);
    }
  }
  tell(self, what, "ok", nlohmann::json{{"job", id.text()}, {"state", store::name(state)}}.dump());
}

void ledger_state::acknowledge(ledger_actor::pointer self, const query& what) {
  const auto& id = what.jobs.front();
  const auto known = find(what, id);
  if (!known)
    return tell_error(self, what, no_job());
  if (!is_terminal(known->state))
    return tell_error(self, what, bad_field("job", "the job has not ended; cancel it first"));
  kept.erase(id);
  if (with.jobs->find(id) && facts->remove(id))
    schedule_commit(self);
  tell(self, what, "ok",
       nlohmann::json{{"job", id.text()}, {"state", store::name(known->state)}}.dump());
}

void ledger_state::tick(ledger_actor::pointer self) {
  const auto now = with.time->mono();
  if (!sick.empty()) {
    (void)with.jobs->resume();
    commit(self);
  }
  for (const auto& id : backlog.wake(now_us()))
    if (const auto found = open.find(id); found != open.end())
      found->second.status.state = job_state::queued;
  for (const auto& id : backlog.take_expired(now_us())) {
    if (auto node = hot.extract(id))
      self->send(others->responder, failed_atom_v, id,
                 deadline_passed("the deadline passed while the job waited"),
                 std::move(node.mapped().trace));
    else
      lost(self, id, deadline_passed("the deadline passed while the job waited"));
  }
  while (!kept_order.empty()) {
    const auto oldest = kept.find(kept_order.front());
    if (oldest != kept.end() && oldest->second.until > now && kept.size() <= max_kept)
      break;
    if (oldest != kept.end()) {
      keys.erase({oldest->second.principal, oldest->second.key});
      kept.erase(oldest);
    }
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
  self->delayed_send(self, tick_interval, tick_atom_v);
  self->set_exit_handler([self](const caf::exit_msg& end) {
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
      [self](running_atom, const job_id& id) { self->state.running(id); },
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
