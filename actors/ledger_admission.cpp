// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/ledger.h"
#include "actors/replies.h"
#include "base/fault.h"
#include "base/log.h"

#include <utility>

// How a job gets in: repeated keys, the journal's record, `accepted`.

namespace bitnetd::actors {

namespace {

/// The front counted this request for its principal: no more.
void release_account(reply& with, const request& what) {
  if (!what.counted)
    return;
  with.release_jobs = static_cast<std::uint32_t>(what.items.size());
  with.release_bytes = what.body.size();
}

} // namespace

void ledger_state::schedule_commit(ledger_actor::pointer self) {
  // All that arrive before the commit's turn go into the same write and sync.
  if (!std::exchange(commit_due, true))
    self->send(self, commit_atom_v);
}

void ledger_state::refuse(ledger_actor::pointer self, const job& first, failure why) {
  with.counters->refused(why.name);
  auto out = error_for(*first.what, std::move(why));
  release_account(out, *first.what);
  mail.send(self, others->outbox, std::move(out));
}

// ------------------------------------------------------------------ repeated keys

bool ledger_state::known_before(ledger_actor::pointer self, const job& first) {
  const auto& what = *first.what;
  if (what.key.empty())
    return false;
  hash128 fingerprint;
  job_id earlier;
  bool on_disk = true;
  if (const auto found = keys.find({what.principal, what.key}); found != keys.end()) {
    fingerprint = found->second.fingerprint;
    earlier = found->second.job;
  } else {
    auto stored = with.jobs->find_by_key(what.principal, what.key, now_us());
    if (!stored) {
      stored = facts->find_by_key(what.principal, what.key, now_us());
      on_disk = false;
    }
    if (!stored)
      return false;
    fingerprint = stored->fingerprint;
    earlier = stored->job;
  }
  if (fingerprint != what.fingerprint)
    refuse(self, first, key_conflict());
  else if (on_disk)
    repeat(self, first, earlier);
  else
    pending.repeated.emplace_back(first, earlier); // not acknowledged before the first one is
  return true;
}

void ledger_state::repeat(ledger_actor::pointer self, const job& again, const job_id& earlier) {
  const auto& what = *again.what;
  const bool waits = what.mode != reply_mode::job || what.wait_result;
  reply out;
  out.to = what.reply_to;
  out.principal = what.principal;
  release_account(out, what);
  if (what.mode != reply_mode::sync) {
    reply_accepted known;
    known.job = earlier;
    known.durable = known.fsync = what.durable;
    known.duplicate = true;
    if (what.more || what.part_of)
      known.part = what.part;
    auto said = out;
    if (waits) {
      said.release_jobs = 0;
      said.release_bytes = 0;
    }
    said.what = known;
    mail.send(self, others->outbox, std::move(said));
  }
  if (!waits)
    return;
  if (what.mode == reply_mode::stream && what.durable) {
    reader cursor;
    cursor.to = what.reply_to;
    cursor.principal = what.principal;
    cursor.credit = what.credit;
    cursor.as_result = true;
    cursor.release_jobs = out.release_jobs;
    cursor.release_bytes = out.release_bytes;
    return read_on(self, earlier, std::move(cursor));
  }
  waiter entry;
  entry.who.reply_to = what.reply_to;
  entry.who.principal = what.principal;
  entry.who.jobs = {earlier};
  entry.until = mono_time::max();
  entry.release_jobs = out.release_jobs;
  entry.release_bytes = out.release_bytes;
  const auto held = kept.find(earlier);
  const auto row = with.jobs->find(earlier);
  if (open.contains(earlier) || (row && !is_terminal(row->state)))
    waiters[earlier].push_back(std::move(entry));
  else if (held != kept.end())
    answer(self, entry, held->second.document);
  else if (const auto stored = stored_result(earlier))
    answer(self, entry, *stored);
  else
    answer(self, entry, no_job()); // the key outlives the job it was used for
}

void ledger_state::answer(ledger_actor::pointer self, const waiter& who,
                          const std::string& document) {
  auto out = document_for(who.who, "result", document);
  out.release_jobs = who.release_jobs;
  out.release_bytes = who.release_bytes;
  mail.send(self, others->outbox, std::move(out));
}

void ledger_state::answer(ledger_actor::pointer self, const waiter& who, failure why) {
  auto out = error_for(who.who, std::move(why));
  out.release_jobs = who.release_jobs;
  out.release_bytes = who.release_bytes;
  mail.send(self, others->outbox, std::move(out));
}

// ------------------------------------------------------------------ new jobs

store::status ledger_state::record(const std::vector<job>& jobs) {
  for (const auto& one : jobs) {
    const auto& what = *one.what;
    if (one.is_parent && what.part_of)
      continue; // it is there, and grows below
    store::job_record row;
    row.id = one.id;
    row.principal = what.principal;
    row.parent = one.parent;
    row.index = one.index;
    row.is_batch = one.is_parent;
    auto options = options_of(one);
    if (one.parent && what.part_of)
      options.base = one.index - one.item;
    options.read = !one.parent && what.mode == reply_mode::stream; // as it comes
    row.options = to_text(options);
    if (!one.parent) {
      row.key = what.key;
      row.fingerprint = what.fingerprint;
    }
    // Items of the first part have their words in the batch's body, those of a later one in that
    // of its first item.
    if (!one.parent || (what.part_of && one.item == 0))
      row.request = what.body;
    row.state = job_state::queued;
    row.cls = one.how ? one.how->cls : what.wanted_class.value_or(job_class::batch);
    row.created_us = to_wall_us(what.arrived_wall);
    row.deadline_us = what.deadline ? row.created_us + what.deadline->count() * 1000 : 0;
    row.not_before_us = what.not_before ? to_wall_us(*what.not_before) : 0;
    row.retention_us = std::chrono::duration_cast<microseconds>(
                           what.result_ttl.value_or(config->limits.result_retention))
                           .count();
    row.model = one.how ? one.how->model->name : what.model;
    if (row.deadline_us > 0 && !one.is_parent && next_deadline_us > 0)
      next_deadline_us = std::min(next_deadline_us, row.deadline_us);
    if (auto status = facts->accept(row); !status)
      return status;
  }
  if (jobs.front().is_parent)
    return facts->grow(jobs.front().id, static_cast<std::uint32_t>(jobs.size() - 1),
                       jobs.front().what->more);
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
  if (what.is_parent) {
    status.children = static_cast<std::uint32_t>(items);
    entry.more = what.what->more;
  }
  if (entry.durable && !what.parent &&
      (what.what->mode != reply_mode::job || what.what->wait_result))
    entry.asked = what.what;
  if (!what.parent)
    entry.key = what.what->key;
  // Whoever waited for the answer of a sync or stream job has had it.
  entry.askable = !what.parent && (what.what->mode == reply_mode::job || !what.what->key.empty());
  if (what.parent && !entry.durable)
    children[*what.parent].push_back(what.id);
  open.insert_or_assign(what.id, std::move(entry));
}

std::optional<failure> ledger_state::no_room_for_jobs() const {
  if (!sick.empty())
    return disk("the journal cannot be written: " + sick);
  if (!disk_short.empty())
    return disk(disk_short + "; results are still served");
  if (config && with.jobs->totals().bytes > config->limits.result_bytes)
    return disk("the stored jobs are more bytes than limits.result_bytes, and none of them has "
                "ended");
  return std::nullopt;
}

void ledger_state::admit(ledger_actor::pointer self, std::vector<job> jobs) {
  const auto& first = jobs.front();
  if (first.what->part_of ? !join_part(self, jobs) : known_before(self, first))
    return;
  if (!first.what->durable) {
    if (!first.what->key.empty())
      keys.insert_or_assign({first.what->principal, first.what->key},
                            known_key{first.id, first.what->fingerprint});
    for (const auto& one : jobs)
      remember(one, jobs.size() - 1);
    return accepted(self, jobs), start(self, std::move(jobs));
  }
  if (auto full = no_room_for_jobs())
    return refuse(self, first, std::move(*full));
  BITNETD_FAULT_POINT("ledger.admit");
  if (auto status = record(jobs); !status) {
    log::error("job {} could not be journalled: {}", first.id.text(), status.text());
    // What of a batch was recorded before the failure ends in the same commit.
    for (const auto& one : jobs)
      if (!one.is_parent || !one.what->part_of)
        (void)facts->finish(one.id, job_state::failed, now_us(), {}, status.text());
    schedule_commit(self);
    return refuse(self, first, internal("the journal refused the job: " + status.text()));
  }
  for (const auto& one : jobs)
    if (!one.is_parent || !one.what->part_of)
      remember(one, jobs.size() - 1);
  pending.admitted.push_back(std::move(jobs));
  pending.needs_sync = true;
  schedule_commit(self);
}

void ledger_state::accepted(ledger_actor::pointer self, const std::vector<job>& jobs) {
  const auto& first = jobs.front();
  for (const auto& one : jobs)
    if (const auto found = open.find(one.id); !one.is_parent && found != open.end())
      with.counters->job_accepted(found->second.status.cls);
  if (first.what->mode == reply_mode::sync)
    return; // exactly one reply: the result
  reply_accepted said;
  said.job = first.id;
  said.durable = said.fsync = first.what->durable;
  said.children = static_cast<std::uint32_t>(jobs.size() - 1);
  if (first.what->part_of || first.what->more)
    said.part = first.what->part;
  said.eta_ms = first.eta_ms;
  reply out;
  out.to = first.what->reply_to;
  out.principal = first.what->principal;
  // A durable job without wait is on the disk now: the front may stop counting it.
  if (first.what->durable && first.what->mode == reply_mode::job && !first.what->wait_result) {
    release_account(out, *first.what);
  }
  out.what = said;
  mail.send(self, others->outbox, std::move(out));
  BITNETD_FAULT_POINT("ledger.accepted");
}

void ledger_state::start(ledger_actor::pointer self, std::vector<job> jobs) {
  const auto asked = jobs.front().what; // the jobs are handed on
  const auto& what = *asked;
  const bool durable = what.durable;
  const bool later = what.not_before && *what.not_before > with.time->wall();
  const bool grows = jobs.front().is_parent && what.part_of;
  if (grows)
    mail.send(self, others->responder, grow_atom_v, jobs.front().id,
              static_cast<std::uint32_t>(jobs.size() - 1), what.more);
  for (auto& one : jobs) {
    if (one.is_parent && grows)
      continue;
    mail.send(self, others->responder, open_atom_v, one);
    if (one.is_parent)
      continue;
    if (one.refused)
      mail.send(self, others->responder, failed_atom_v, one.id, *one.refused, std::move(one.trace));
    else if (!durable)
      mail.send(self, others->cache, lookup_atom_v, std::move(one));
    else if (later)
      wait_on_disk(self, std::move(one));
    else
      mail.send(self, others->cache, probe_atom_v,
                std::move(one)); // a hit never waits in the queue
  }
  release(self);
}

} // namespace bitnetd::actors
