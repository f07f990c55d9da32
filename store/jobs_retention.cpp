// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "store/envelope.h"
#include "store/jobs_impl.h"
#include "store/keys.h"
#include "store/records.h"

#include <limits>

namespace bitnetd::store {

status jobs_batch::pending::removable(const held& job) const {
  if (!is_terminal(job.record.state))
    return {errc::invalid, "job " + job.record.id.text() + " has not ended"};
  if (job.changed || output_ends.contains(job.record.id))
    return {errc::invalid, "job " + job.record.id.text() + " has facts in this batch"};
  return {};
}

status jobs_batch::pending::drop_output(const job_id& job) {
  const auto prefix = jobs::job_key(job);
  auto row = db.rows->rows(jobs::output, prefix, prefix_end(prefix));
  for (; row.valid(); row.next())
    drop_row(jobs::output, row.key(), row.value().size());
  return row.state();
}

status jobs_batch::pending::drop_completions(const job_id& parent) {
  const auto prefix = jobs::job_key(parent);
  auto row = db.rows->rows(jobs::completed, prefix, prefix_end(prefix));
  for (; row.valid(); row.next())
    drop_row(jobs::completed, row.key(), row.value().size());
  return row.state();
}

status jobs_batch::pending::drop_job(held& job) {
  const auto& record = job.record;
  const auto key = jobs::job_key(record.id);
  // What can fail comes first, so that a job is dropped whole or not at all.
  const auto key_row = jobs::idempotency_key(record.principal, record.key);
  std::optional<key_entry> bound;
  if (!record.key.empty()) {
    const auto stored = db.rows->get(jobs::keys, key_row);
    if (!stored)
      return stored.why();
    const auto entry = decode_key_entry(key_row, *stored);
    if (!entry)
      return entry.why();
    if (entry->job == record.id)
      bound = *entry;
  }
  if (auto dropped = drop_output(record.id); !dropped)
    return dropped;

  drop_row(jobs::records, key, job.stored_bytes - key.size());
  drop_row(jobs::requests, key, record.request_bytes + envelope_bytes);
  if (record.result_bytes > 0)
    drop_row(jobs::results, key, record.result_bytes + envelope_bytes);
  if (record.parent) {
    drop_row(jobs::children, jobs::child_key(*record.parent, record.index), key.size());
  } else {
    drop_row(jobs::owners, jobs::owner_key(record.principal, record.id), 0);
    drop_row(jobs::owners, jobs::owner_key({}, record.id), 0);
    drop_row(jobs::ended, jobs::ended_key(record.ended_us, record.id), 0);
    drop_row(jobs::expiry,
             jobs::expiry_key(record.ended_us + record.retention_us, jobs::expiring::job, key), 0);
  }
  if (record.state == job_state::dead)
    drop_row(jobs::dead, jobs::dead_key(record.ended_us, record.id), 0);
  if (bound) {
    // The key outlives the job, so that a late retry does not compute again.
    const auto kept = std::chrono::microseconds(db.options.key_retention).count();
    bound->until_us = record.created_us + kept;
    rows.put(*db.rows, jobs::keys, key_row, encode_key_entry(key_row, *bound));
    keys[key_row] = *bound;
    add_row(jobs::expiry, jobs::expiry_key(bound->until_us, jobs::expiring::key, key_row), {});
  }
  job.removed = true;
  --jobs_added;
  ++facts;
  return {};
}

result<std::size_t> jobs_batch::pending::drop_children(const job_id& parent, std::size_t limit) {
  const auto prefix = jobs::job_key(parent);
  std::size_t dropped = 0;
  auto row = db.rows->rows(jobs::children, prefix, prefix_end(prefix));
  for (; row.valid() && dropped < limit; row.next(), ++dropped) {
    const auto child = look(key_reader(row.value()).id());
    if (!child)
      return child.why();
    if (auto allowed = removable(**child); !allowed)
      return allowed;
    if (auto gone = drop_job(**child); !gone)
      return gone;
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return dropped;
}

result<bool> jobs_batch::pending::remove_within(const job_id& job, std::size_t& budget) {
  const auto found = look(job);
  if (!found)
    return found.why();
  if (auto allowed = removable(**found); !allowed)
    return allowed;
  if ((*found)->record.is_batch) {
    const auto dropped = drop_children(job, budget);
    if (!dropped)
      return dropped.why();
    budget -= *dropped;
    if (budget == 0)
      return false; // the parent goes last, so that its children are always found
  }
  if ((*found)->record.is_batch)
    if (auto gone = drop_completions(job); !gone)
      return gone;
  if (auto gone = drop_job(**found); !gone)
    return gone;
  --budget;
  return true;
}

status jobs_batch::remove(const job_id& job) {
  // Looked at first: half a removal must not stay in the batch.
  const auto found = pending_->look(job);
  if (!found)
    return found.why();
  if (auto allowed = pending_->removable(**found); !allowed)
    return allowed;
  if ((*found)->record.is_batch) {
    const auto prefix = jobs::job_key(job);
    auto row = pending_->db.rows->rows(jobs::children, prefix, prefix_end(prefix));
    for (; row.valid(); row.next()) {
      const auto child = pending_->look(key_reader(row.value()).id());
      if (!child)
        return child.why();
      if (auto allowed = pending_->removable(**child); !allowed)
        return allowed;
    }
    if (auto ended = row.state(); !ended)
      return ended;
  }
  auto unlimited = std::numeric_limits<std::size_t>::max();
  const auto gone = pending_->remove_within(job, unlimited);
  return gone ? status() : gone.why();
}

namespace {

/// One job that cannot be read must not keep the others from being removed, and is never removed
/// itself: that takes an operator.
void pass_over(const job_id& job, const status& why) {
  log::warn("jobs: {} stays although its time has passed: {}", job.text(), why.text());
}

} // namespace

result<std::vector<job_id>> jobs_db::remove_expired(std::int64_t now_us, std::size_t limit) {
  std::vector<job_id> removed;
  jobs_batch::pending batch(*impl_);
  const auto upper = key_writer().time(now_us + 1).take();
  auto row = impl_->rows->rows(jobs::expiry, {}, upper);
  for (; row.valid() && limit > 0; row.next()) {
    key_reader parts(row.key());
    const auto until_us = parts.time();
    if (static_cast<jobs::expiring>(parts.byte()) == jobs::expiring::job) {
      const auto job = parts.id();
      const auto gone = batch.remove_within(job, limit);
      if (gone && *gone)
        removed.push_back(job);
      else if (!gone) {
        pass_over(job, gone.why());
        --limit;
      }
      continue;
    }
    --limit;
    const std::string key_row(parts.rest());
    const auto stored = impl_->rows->get(jobs::keys, key_row);
    if (!stored && stored.why().code() != errc::not_found)
      return stored.why();
    if (stored) {
      const auto entry = decode_key_entry(key_row, *stored);
      if (!entry)
        return entry.why();
      if (entry->until_us == until_us) // otherwise it was bound again since
        batch.drop_row(jobs::keys, key_row, stored->size());
    }
    batch.drop_row(jobs::expiry, row.key(), 0);
    ++batch.facts;
  }
  if (auto ended = row.state(); !ended)
    return ended;
  if (auto done = batch.commit(durability::written); !done)
    return done;
  return removed;
}

result<std::vector<job_id>> jobs_db::remove_oldest(std::uint64_t bytes, std::size_t limit) {
  std::vector<job_id> removed;
  jobs_batch::pending batch(*impl_);
  const auto left = [&] { return static_cast<std::int64_t>(totals().bytes) + batch.bytes; };
  auto row = impl_->rows->rows(jobs::ended);
  for (; row.valid() && limit > 0 && left() > static_cast<std::int64_t>(bytes); row.next()) {
    key_reader parts(row.key());
    (void)parts.time();
    const auto job = parts.id();
    const auto gone = batch.remove_within(job, limit);
    if (gone && *gone)
      removed.push_back(job);
    else if (!gone) {
      pass_over(job, gone.why());
      --limit;
    }
  }
  if (auto ended = row.state(); !ended)
    return ended;
  if (auto done = batch.commit(durability::written); !done)
    return done;
  return removed;
}

} // namespace bitnetd::store
