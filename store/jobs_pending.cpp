// SPDX-License-Identifier: MIT
#include "base/fault.h"
#include "store/jobs_impl.h"
#include "store/records.h"

#include <algorithm>
#include <utility>

namespace bitnetd::store {

result<jobs_batch::pending::held*> jobs_batch::pending::look(const job_id& job) {
  const auto known = jobs.find(job);
  if (known != jobs.end() && known->second.removed)
    return status(errc::not_found, "job " + job.text() + " is removed");
  if (known != jobs.end() && known->second.changed)
    return &known->second;
  // Read anew even if looked at before: another batch may have been committed since.
  const auto key = jobs::job_key(job);
  const auto stored = db.rows->get(jobs::records, key);
  if (!stored)
    return stored.why();
  auto record = decode_job(key, *stored);
  if (!record)
    return record.why();
  held fresh;
  fresh.record = std::move(*record);
  fresh.stored_bytes = key.size() + stored->size();
  return &jobs.insert_or_assign(job, std::move(fresh)).first->second;
}

status jobs_batch::pending::is_new(const job_id& job) {
  // Ids come in ascending order: all but a few are told to be new without reading.
  if (job > db.newest && !jobs.contains(job))
    return {};
  const auto known = look(job);
  if (known)
    return {errc::exists, "job " + job.text() + " is stored already"};
  return known.why().code() == errc::not_found ? status() : known.why();
}

result<jobs_batch::pending::held*> jobs_batch::pending::look_open(const job_id& job) {
  auto found = look(job);
  if (found && is_terminal((*found)->record.state))
    return status(errc::invalid,
                  "job " + job.text() + " has ended: " + std::string(name((*found)->record.state)));
  return found;
}

result<key_entry> jobs_batch::pending::find_key(const std::string& row, std::int64_t now_us) const {
  if (const auto known = keys.find(row); known != keys.end())
    return known->second;
  return db.find_key(row, now_us);
}

result<output_position> jobs_batch::pending::position(const job_id& job) const {
  if (const auto known = output_ends.find(job); known != output_ends.end())
    return known->second;
  return db.position(job);
}

void jobs_batch::pending::add_row(std::size_t column, std::string_view key,
                                  std::string_view value) {
  rows.put(*db.rows, column, key, value);
  bytes += static_cast<std::int64_t>(key.size() + value.size());
}

void jobs_batch::pending::drop_row(std::size_t column, std::string_view key,
                                   std::uint64_t value_bytes) {
  rows.erase(*db.rows, column, key);
  bytes -= static_cast<std::int64_t>(key.size() + value_bytes);
}

void jobs_batch::pending::set_live(held& job, bool runs) {
  const bool ran = job.record.state == job_state::running;
  if (ran == runs)
    return;
  const auto key = jobs::job_key(job.record.id);
  if (runs)
    add_row(jobs::live, key, jobs::live_running);
  else
    drop_row(jobs::live, key, jobs::live_running.size());
}

status jobs_batch::pending::complete(const job_record& child) {
  auto next = completions.find(*child.parent);
  if (next == completions.end()) {
    const auto stored = db.next_completed(*child.parent);
    if (!stored)
      return stored.why();
    next = completions.emplace(*child.parent, *stored).first;
  }
  add_row(jobs::completed, jobs::completed_key(*child.parent, next->second++),
          jobs::completed_value(child.id, child.index, child.state));
  return {};
}

void jobs_batch::pending::clear() {
  rows.clear();
  jobs.clear();
  output_ends.clear();
  keys.clear();
  children.clear();
  completions.clear();
  bytes = jobs_added = open_added = 0;
  accepted = 0;
  facts = 0;
}

status jobs_batch::pending::commit(durability how) {
  if (facts == 0) {
    clear(); // what was looked at
    return {};
  }
  const auto before = db.totals;
  auto after = before;
  auto total_bytes = static_cast<std::int64_t>(before.bytes) + bytes;

  rows.mark();
  for (const auto& [id, job] : jobs) {
    if (!job.changed || job.removed)
      continue;
    const auto key = jobs::job_key(id);
    const auto value = encode_job(key, job.record);
    rows.put(*db.rows, jobs::records, key, value);
    total_bytes += static_cast<std::int64_t>(key.size() + value.size()) -
                   static_cast<std::int64_t>(job.stored_bytes);
  }
  after.accepted += accepted;
  after.jobs += static_cast<std::uint64_t>(jobs_added);
  after.open += static_cast<std::uint64_t>(open_added);
  after.bytes = static_cast<std::uint64_t>(total_bytes);
  rows.put(*db.rows, jobs::sys, jobs::totals_key, encode_totals(jobs::totals_key, after));

  BITNETD_FAULT_POINT("store.before_write");
  const bool sync = how == durability::synced && !BITNETD_SEEDED_BUG("ack_before_sync");
  if (auto written = db.rows->write(rows, sync); !written) {
    rows.back(); // commit can be tried again
    return written;
  }
  BITNETD_FAULT_POINT("store.after_write");
  {
    const std::lock_guard lock(db.totals_mutex);
    db.totals = after;
  }
  if (!jobs.empty()) // among them all that were accepted
    db.newest = std::max(db.newest, jobs.rbegin()->first);
  if (how == durability::synced)
    db.watch();
  clear();
  return {};
}

} // namespace bitnetd::store
