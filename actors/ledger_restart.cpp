// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "base/log.h"

#include <utility>

// What an earlier process left.

namespace bitnetd::actors {

namespace {

/// A job that was running in so many crashes may be why.
constexpr std::uint32_t most_crashes = 2;

} // namespace

/// The job is dead: not tried again unless an operator says so.
void ledger_state::bury(ledger_actor::pointer self, const store::job_record& row,
                        std::uint32_t crashes) {
  log::error("job {} was running in {} crashes: it is dead and not tried again", row.id.text(),
             crashes);
  if (load(row.id) == nullptr)
    return;
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
  result->attempt = crashes;
  end.result = std::move(result);
  with.counters->job_ended(job_state::dead);
  ended(self, std::move(end));
}

void ledger_state::load_backlog(ledger_actor::pointer self) {
  woken.id.bytes.fill(0xFF);
  woken.not_before_us = now_us(); // what was to start before is found in the order of release
  const auto were_running = with.jobs->running();
  const auto batches = with.jobs->open_batches();
  if (!were_running || !batches) {
    const auto& why = were_running ? batches.why() : were_running.why();
    log::error("the journal's index cannot be read: {}", why.text());
    return;
  }
  std::size_t n_dead = 0;
  for (const auto& id : *were_running) {
    const auto row = with.jobs->find(id);
    const auto crashes = row ? facts->count_crash(id) : store::result<std::uint32_t>(row.why());
    if (!crashes) {
      log::error("job {} is in the journal and cannot be read: {}", id.text(),
                 crashes.why().text());
      continue;
    }
    if (*crashes >= most_crashes) {
      bury(self, *row, *crashes);
      ++n_dead;
    }
  }
  // Before the batches: the items that died have ended.
  if (!facts->empty()) {
    pending.needs_sync = true;
    commit(self);
  }
  for (const auto& id : *batches) {
    const auto row = with.jobs->find(id);
    if (row)
      reopen_batch(self, *row);
    else
      log::error("batch {} is in the journal and cannot be read: {}", id.text(), row.why().text());
  }
  const auto waiting = with.jobs->totals().open;
  if (waiting + n_dead > 0)
    log::info("journal: {} jobs are open ({} batches), {} were running, {} are dead", waiting,
              batches->size(), were_running->size(), n_dead);
}

/// Tells the responder of a batch that was open, and which of its items have ended.
void ledger_state::reopen_batch(ledger_actor::pointer self, const store::job_record& row) {
  job parent;
  parent.id = row.id;
  open_job entry;
  entry.durable = true;
  entry.status = status_of(row);
  entry.status.state = job_state::queued;
  entry.key = row.key;
  entry.more = row.more;
  for (std::uint32_t from = 0;;) {
    const auto items = with.jobs->completed(row.id, from);
    if (!items || items->empty())
      break;
    for (const auto& item : *items) {
      parent.ended_items.push_back(item.index);
      ++(item.state == job_state::done ? entry.status.children_done : entry.status.children_failed);
    }
    from = items->back().number + 1;
  }
  open.insert_or_assign(row.id, std::move(entry));
  auto what = std::make_shared<request>();
  what->principal = row.principal;
  what->durable = true;
  what->is_batch = true;
  what->items.resize(row.items);
  what->arrived = with.time->mono();
  what->arrived_wall = wall_time{microseconds{row.created_us}};
  parent.what = std::move(what);
  parent.more_follows = row.more;
  parent.is_parent = parent.recovered = true;
  mail.send(self, others->responder, open_atom_v, std::move(parent));
}

} // namespace bitnetd::actors
