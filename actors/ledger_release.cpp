// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "base/log.h"

#include <algorithm>
#include <utility>

// How durable jobs get from the disk into cache and batcher: against credit, and after a restart.

namespace bitnetd::actors {

namespace {

constexpr std::size_t max_hot = 4096; // waiting durable jobs in memory; the others are read again

/// Somebody waits on a connection for what becomes of this very job.
bool has_route(const job& what) {
  return !what.parent && (what.what->mode != reply_mode::job || what.what->wait_result);
}

} // namespace

// ------------------------------------------------------------------ waiting, release

void ledger_state::missed(ledger_actor::pointer self, job what) {
  const auto found = open.find(what.id);
  if (found == open.end())
    return;
  const auto id = what.id;
  const bool cancelled_meanwhile = found->second.cancel_asked;
  wait_on_disk(self, std::move(what));
  if (cancelled_meanwhile)
    return cancel_one(self, id);
  release(self);
}

void ledger_state::wait_on_disk(ledger_actor::pointer self, job what) {
  auto& status = open.at(what.id).status;
  const auto starts = what.what->not_before ? to_wall_us(*what.what->not_before) : std::int64_t{0};
  if (starts > now_us())
    status.state = job_state::scheduled;
  backlog.push({what.id, status.cls, status.deadline_us, starts}, now_us());
  if (hot.size() < max_hot || has_route(what)) {
    const auto id = what.id;
    hot.insert_or_assign(id, std::move(what));
  } else {
    self->send(others->responder, lost_atom_v, what.id); // its record has all that is needed
  }
}

void ledger_state::release(ledger_actor::pointer self) {
  while (under_way < window && !holding) {
    const auto next = backlog.pop();
    if (!next)
      return;
    ++under_way;
    open.at(*next).released = true;
    if (auto node = hot.extract(*next))
      self->send(others->cache, lookup_atom_v, std::move(node.mapped()));
    else
      run_again(self, *next);
  }
}

// ------------------------------------------------------------------ from the journal

/// What a journalled job asked for. Throws what the decoder throws.
request_ptr ledger_state::stored_request(const store::job_record& row) {
  const auto read = [&](const job_id& id) {
    const auto body = with.jobs->request(id);
    if (!body)
      throw std::runtime_error("its request cannot be read: " + body.why().text());
    return with.decode(row.principal, *body);
  };
  request_ptr what;
  if (row.parent) {
    auto& whole = parents[*row.parent];
    if (!whole)
      whole = read(*row.parent);
    auto one = std::make_shared<request>(*whole);
    one->items = {whole->items.at(row.index)};
    one->is_batch = false;
    what = std::move(one);
  } else {
    what = read(row.id);
  }
  auto again = std::make_shared<request>(*what);
  again->durable = true;
  again->wanted_class = row.cls;
  again->arrived = with.time->mono();
  again->arrived_wall = wall_time{microseconds{row.created_us}};
  again->deadline.reset();
  if (row.deadline_us > 0)
    again->deadline = milliseconds{std::max<std::int64_t>(1, (row.deadline_us - now_us()) / 1000)};
  return again;
}

void ledger_state::run_again(ledger_actor::pointer self, const job_id& id) {
  const auto row = with.jobs->find(id);
  if (!row)
    return lost(self, id, internal("its record cannot be read: " + row.why().text()));
  try {
    auto what = stored_request(*row);
    if (facts->reset_output(id))
      schedule_commit(self); // it starts over: what was drawn before is drawn anew
    self->send(others->analyzer, recover_atom_v, std::move(what), id, row->attempts + 1);
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
  log::error("job {} cannot be run again: {}", id.text(), why.message);
  end_unstarted(self, id, why);
}

void ledger_state::end_unstarted(ledger_actor::pointer self, const job_id& id, failure why) {
  const auto found = open.find(id);
  if (found == open.end())
    return;
  const auto& status = found->second.status;
  job nothing;
  nothing.id = id;
  auto what = std::make_shared<request>();
  what->principal = status.principal;
  what->durable = true;
  what->items.resize(1);
  if (status.parent)
    if (const auto whole = parents.find(*status.parent);
        whole != parents.end() && whole->second && status.index < whole->second->items.size())
      what->items[0].custom_id = whole->second->items[status.index].custom_id;
  nothing.what = std::move(what);
  nothing.recovered = true;
  nothing.attempt = status.attempt;
  nothing.parent = status.parent;
  nothing.index = status.index;
  self->send(others->responder, open_atom_v, std::move(nothing));
  self->send(others->responder, failed_atom_v, id, std::move(why), std::vector<trace_entry>{});
}

// ------------------------------------------------------------------ restart

/// Counts the crash that ended an earlier run. True, and the job is dead, when it was the second:
/// the job may be why.
bool ledger_state::died_twice(ledger_actor::pointer self, const store::job_record& row) {
  const auto crashes = facts->count_crash(row.id);
  if (!crashes || *crashes < 2)
    return false;
  log::error("job {} was running in {} crashes: it is dead and not tried again", row.id.text(),
             *crashes);
  job_end end;
  end.id = row.id;
  end.state = job_state::dead;
  end.durable = true;
  auto result = std::make_shared<reply_result>();
  result->job = row.id;
  result->state = job_state::dead;
  result->error = internal("the job was running in two crashes of the daemon");
  result->index = row.index;
  result->model = row.model;
  result->attempt = *crashes;
  end.result = std::move(result);
  with.counters->job_ended(job_state::dead);
  ended(self, std::move(end));
  return true;
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
  std::vector<store::job_record> batches;
  const bool held = std::exchange(holding, true); // nothing starts before all is known
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
    entry.status.state = row.not_before_us > now_us() ? job_state::scheduled : job_state::queued;
    entry.status.started_us = 0;
    entry.key = record->key;
    open.insert_or_assign(row.id, std::move(entry));
    if (record->is_batch) {
      batches.push_back(*record);
      continue;
    }
    if (record->state == job_state::running) {
      if (died_twice(self, *record)) {
        ++dead;
        continue;
      }
      ++open.at(row.id).status.attempt;
    }
    if (record->parent)
      children[*record->parent].push_back(row.id);
    backlog.push({row.id, row.cls, row.deadline_us, row.not_before_us}, now_us());
    ++again;
  }
  const auto n_batches = batches.size();
  reopen_batches(self, std::move(batches));
  if (!facts->empty()) {
    pending.needs_sync = true;
    schedule_commit(self);
  }
  if (again + dead + n_batches > 0)
    log::info("journal: {} jobs run again, {} batches continue, {} dead", again, n_batches, dead);
  holding = held;
  release(self);
}

void ledger_state::count_ended(job_status& batch) const {
  for (std::uint32_t from = 0;;) {
    const auto items = with.jobs->children(batch.id, from);
    if (!items || items->empty())
      return;
    for (const auto& item : *items)
      if (is_terminal(item.state))
        ++(item.state == job_state::done ? batch.children_done : batch.children_failed);
    from = items->back().index + 1;
  }
}

/// Tells the responder of the batches that were open, and which of their items have ended.
void ledger_state::reopen_batches(ledger_actor::pointer self, std::vector<store::job_record> rows) {
  for (const auto& row : rows) {
    auto& status = open.at(row.id).status;
    std::vector<bool> waits(row.items, false);
    for (const auto& child : children[row.id])
      if (const auto index = open.at(child).status.index; index < waits.size())
        waits[index] = true;
    job parent;
    parent.id = row.id;
    for (std::uint32_t i = 0; i < waits.size(); ++i)
      if (!waits[i])
        parent.ended_items.push_back(i);
    count_ended(status);
    auto what = std::make_shared<request>();
    what->principal = row.principal;
    what->durable = true;
    what->is_batch = true;
    what->items.resize(row.items);
    what->arrived = with.time->mono();
    what->arrived_wall = wall_time{microseconds{row.created_us}};
    parent.what = std::move(what);
    parent.is_parent = parent.recovered = true;
    self->send(others->responder, open_atom_v, std::move(parent));
  }
}

} // namespace bitnetd::actors
