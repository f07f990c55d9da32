// SPDX-License-Identifier: MIT
#include "store/envelope.h"
#include "store/jobs_impl.h"
#include "store/keys.h"
#include "store/records.h"

#include <algorithm>
#include <utility>

namespace bitnetd::store {
namespace {

constexpr std::size_t max_principal_bytes = 256;
constexpr std::size_t max_key_bytes = 128;
constexpr std::size_t max_options_bytes = 64 << 10;
constexpr std::size_t max_request_bytes = 64 << 20;
constexpr std::size_t max_line_bytes = 4 << 10; // model name, error
constexpr std::int64_t year_9999_us = 253'402'300'799'999'999;

bool is_time(std::int64_t us) { return us >= 0 && us <= year_9999_us; }

status invalid(const job_id& job, std::string_view why) {
  return {errc::invalid, "job " + job.text() + ": " + std::string(why)};
}

status check(const job_record& job) {
  if (job.id == job_id{})
    return invalid(job.id, "has no id");
  if (job.principal.empty() || job.principal.size() > max_principal_bytes)
    return invalid(job.id, "the principal must have 1 to 256 bytes");
  if (job.key.size() > max_key_bytes)
    return invalid(job.id, "the key is longer than 128 bytes");
  if (job.options.size() > max_options_bytes)
    return invalid(job.id, "the options are longer than 64 KiB");
  if (job.request.size() > max_request_bytes)
    return invalid(job.id, "the request is longer than 64 MiB");
  if (job.model.size() > max_line_bytes)
    return invalid(job.id, "the model's name is longer than 4 KiB");
  if (job.state != job_state::accepted && job.state != job_state::queued)
    return invalid(job.id, "a new job is accepted or queued");
  if (job.is_batch && job.parent)
    return invalid(job.id, "a batch cannot be part of another");
  for (const auto time : {job.created_us, job.deadline_us, job.not_before_us, job.retention_us})
    if (!is_time(time))
      return invalid(job.id, "a time is outside of 1970 to 9999");
  return {};
}

open_job order_of(const job_record& job) {
  return {job.id, job.cls, job.deadline_us, job.not_before_us, job.principal};
}

} // namespace

jobs_batch::jobs_batch(jobs_db& db) : pending_(std::make_unique<pending>(*db.impl_)) {}
jobs_batch::jobs_batch(jobs_batch&&) noexcept = default;
jobs_batch& jobs_batch::operator=(jobs_batch&&) noexcept = default;
jobs_batch::~jobs_batch() = default;

std::size_t jobs_batch::size() const noexcept { return pending_->facts; }

status jobs_batch::accept(const job_record& job) {
  auto& s = *pending_;
  if (auto checked = check(job); !checked)
    return checked;

  const auto key = jobs::job_key(job.id);
  if (auto unknown = s.is_new(job.id); !unknown)
    return unknown;

  const auto child = job.parent ? jobs::child_key(*job.parent, job.index) : std::string();
  if (job.parent) {
    const auto parent = s.look_open(*job.parent);
    if (!parent)
      return parent.why();
    if (!(*parent)->record.is_batch)
      return invalid(job.id, "its parent is not a batch");
    const auto taken = s.db.rows->get(jobs::children, child);
    if (taken || s.children.contains(child))
      return {errc::exists, "item " + std::to_string(job.index) + " of job " + job.parent->text() +
                                " is stored already"};
    if (taken.why().code() != errc::not_found)
      return taken.why();
  }

  const auto key_row = jobs::idempotency_key(job.principal, job.key);
  bool key_is_new = true; // a row whose time has passed is written over, and is counted already
  if (!job.key.empty()) {
    const auto bound = s.find_key(key_row, job.created_us);
    if (bound)
      return {errc::exists, "the key is bound to job " + bound->job.text()};
    if (bound.why().code() != errc::not_found)
      return bound.why();
    const auto stale = s.db.rows->get(jobs::keys, key_row);
    if (!stale && stale.why().code() != errc::not_found)
      return stale.why();
    key_is_new = !stale.ok();
  }

  pending::held fresh;
  fresh.record = job;
  fresh.record.request.clear();
  fresh.record.request_bytes = job.request.size();
  fresh.record.result_bytes = fresh.record.output_tokens = fresh.record.output_bytes = 0;
  fresh.record.started_us = fresh.record.ended_us = 0;
  fresh.changed = true;
  s.add_row(jobs::requests, key, encode_blob(key, job.request));
  if (job.is_batch) {
    s.add_row(jobs::live, key, jobs::live_batch);
  } else {
    const auto place = jobs::open_key(order_of(job));
    s.add_row(jobs::open, place, jobs::open_value(order_of(job)));
    if (job.not_before_us > 0)
      s.add_row(jobs::waking, jobs::waking_key(job.not_before_us, job.id), place);
  }
  if (job.parent) {
    s.add_row(jobs::children, child, key);
    s.children.insert(child);
  } else {
    s.add_row(jobs::owners, jobs::owner_key(job.principal, job.id), {});
    s.add_row(jobs::owners, jobs::owner_key({}, job.id), {});
  }
  if (!job.key.empty()) {
    const key_entry entry{job.id, job.fingerprint, 0};
    const auto value = encode_key_entry(key_row, entry);
    if (key_is_new)
      s.add_row(jobs::keys, key_row, value);
    else
      s.rows.put(*s.db.rows, jobs::keys, key_row, value);
    s.keys[key_row] = entry;
  }
  s.jobs[job.id] = std::move(fresh);
  ++s.accepted;
  ++s.jobs_added;
  ++s.open_added;
  ++s.facts;
  return {};
}

status jobs_batch::grow(const job_id& parent, std::uint32_t new_items, bool more) {
  const auto found = pending_->look_open(parent);
  if (!found)
    return found.why();
  auto& job = **found;
  if (!job.record.is_batch)
    return invalid(parent, "is not a batch");
  job.record.items += new_items;
  job.record.parts += 1;
  job.record.more = more;
  job.changed = true;
  ++pending_->facts;
  return {};
}

status jobs_batch::set_state(const job_id& job, job_state state) {
  if (state > job_state::scheduled)
    return invalid(job, "set_state takes accepted, queued or scheduled");
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  pending_->set_live(**found, false);
  (*found)->record.state = state;
  (*found)->changed = true;
  ++pending_->facts;
  return {};
}

status jobs_batch::set_options(const job_id& job, std::string_view options) {
  if (options.size() > max_options_bytes)
    return invalid(job, "the options are longer than 64 KiB");
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  (*found)->record.options = options;
  (*found)->changed = true;
  ++pending_->facts;
  return {};
}

status jobs_batch::set_running(const job_id& job, std::int64_t started_us) {
  if (!is_time(started_us))
    return invalid(job, "its start is outside of 1970 to 9999");
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  pending_->set_live(**found, true);
  (*found)->record.state = job_state::running;
  (*found)->record.started_us = started_us;
  (*found)->changed = true;
  ++pending_->facts;
  return {};
}

result<std::uint32_t> jobs_batch::count_crash(const job_id& job) {
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  pending_->set_live(**found, false);
  auto& record = (*found)->record;
  record.state = job_state::queued;
  ++record.attempts;
  (*found)->changed = true;
  ++pending_->facts;
  return record.attempts;
}

status jobs_batch::append_output(const job_id& job, std::uint64_t first_token,
                                 std::span<const std::uint32_t> tokens, std::string_view text) {
  if (text.size() > max_request_bytes || tokens.size() > max_request_bytes / 4)
    return invalid(job, "more than 64 MiB of output at once");
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  const auto end = pending_->position(job);
  if (!end)
    return end.why();
  if (first_token != end->tokens)
    return invalid(job, "output for token " + std::to_string(first_token) +
                            ", but the stored output ends at " + std::to_string(end->tokens));
  if (tokens.empty() && text.empty())
    return {};
  // A row without tokens has text, one without text has tokens: so no two rows have the same key.
  const output_row row{first_token, end->bytes, {tokens.begin(), tokens.end()}, std::string(text)};
  const auto key = jobs::output_key(job, row.first_token, row.offset);
  pending_->add_row(jobs::output, key, encode_output(key, row));
  pending_->output_ends[job] = {end->tokens + tokens.size(), end->bytes + text.size()};
  ++pending_->facts;
  return {};
}

status jobs_batch::reset_output(const job_id& job) {
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  if (pending_->output_ends.contains(job))
    return invalid(job, "has output in this batch");
  if (auto dropped = pending_->drop_output(job); !dropped)
    return dropped;
  pending_->output_ends[job] = {};
  ++pending_->facts;
  return {};
}

status jobs_batch::trim_output(const job_id& job, std::uint64_t bytes) {
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  const auto end = pending_->position(job);
  if (!end)
    return end.why();
  if (pending_->output_ends.contains(job) || bytes > end->bytes)
    return invalid(job, "has output in this batch, or less text than is to be kept");
  const auto prefix = jobs::job_key(job);
  auto row = pending_->db.rows->rows(jobs::output, prefix, prefix_end(prefix));
  row.seek_at_or_before(jobs::output_key(job, UINT64_MAX, UINT64_MAX));
  for (; row.valid(); row.previous()) {
    auto one = decode_output(row.key(), row.value());
    if (!one)
      return one.why();
    if (one->offset + one->text.size() <= bytes)
      break;
    const std::string key(row.key());
    pending_->drop_row(jobs::output, key, row.value().size());
    one->text.resize(bytes > one->offset ? bytes - one->offset : 0);
    if (!one->tokens.empty() || !one->text.empty()) {
      // Its offset is part of its key: a row behind the new end moves there.
      one->offset = std::min(one->offset, bytes);
      const auto moved = jobs::output_key(job, one->first_token, one->offset);
      pending_->add_row(jobs::output, moved, encode_output(moved, *one));
    }
  }
  if (auto ended = row.state(); !ended)
    return ended;
  pending_->output_ends[job] = {end->tokens, bytes};
  ++pending_->facts;
  return {};
}

status jobs_batch::revive(const job_id& job) {
  const auto found = pending_->look(job);
  if (!found)
    return found.why();
  auto& s = *pending_;
  auto& record = (*found)->record;
  if (record.state != job_state::dead || (*found)->changed)
    return invalid(job, "is not dead: " + std::string(name(record.state)));
  if (record.parent)
    return invalid(job, "is an item of a batch, which has counted its end: submit it anew");
  const auto key = jobs::job_key(job);
  if (auto dropped = s.drop_output(job); !dropped)
    return dropped;
  s.output_ends[job] = {};
  if (record.result_bytes > 0)
    s.drop_row(jobs::results, key, record.result_bytes + envelope_bytes);
  s.drop_row(jobs::ended, jobs::ended_key(record.ended_us, job), 0);
  s.drop_row(jobs::expiry,
             jobs::expiry_key(record.ended_us + record.retention_us, jobs::expiring::job, key), 0);
  s.drop_row(jobs::dead, jobs::dead_key(record.ended_us, job), 0);
  record.state = job_state::queued;
  record.attempts = 0;
  record.started_us = record.ended_us = record.deadline_us = record.not_before_us = 0;
  record.error.clear();
  record.result_bytes = record.output_tokens = record.output_bytes = 0;
  s.add_row(jobs::open, jobs::open_key(order_of(record)), jobs::open_value(order_of(record)));
  (*found)->changed = true;
  ++s.open_added;
  ++s.facts;
  return {};
}

status jobs_batch::finish(const job_id& job, job_state state, std::int64_t ended_us,
                          std::string_view result_json, std::string_view error) {
  if (!is_terminal(state))
    return invalid(job, "finish takes a terminal state");
  if (!is_time(ended_us))
    return invalid(job, "its end is outside of 1970 to 9999");
  if (result_json.size() > max_request_bytes)
    return invalid(job, "the result is longer than 64 MiB");
  const auto found = pending_->look_open(job);
  if (!found)
    return found.why();
  const auto end = pending_->position(job);
  if (!end)
    return end.why();

  auto& s = *pending_;
  auto& record = (*found)->record;
  const auto key = jobs::job_key(job);
  if (record.is_batch) {
    s.drop_row(jobs::live, key, jobs::live_batch.size());
  } else {
    const auto place = jobs::open_key(order_of(record));
    s.drop_row(jobs::open, place, jobs::open_value(order_of(record)).size());
    if (record.not_before_us > 0)
      s.drop_row(jobs::waking, jobs::waking_key(record.not_before_us, job), place.size());
  }
  s.set_live(**found, false);
  record.state = state;
  record.ended_us = ended_us;
  record.error = error.substr(0, max_line_bytes);
  record.output_tokens = end->tokens;
  record.output_bytes = end->bytes;
  record.result_bytes = result_json.size();
  (*found)->changed = true;
  if (!result_json.empty())
    s.add_row(jobs::results, key, encode_blob(key, result_json));
  if (state == job_state::dead)
    s.add_row(jobs::dead, jobs::dead_key(ended_us, job), {});
  if (record.parent) { // children go with their parent
    if (auto counted = s.complete(record); !counted)
      return counted;
  } else {
    s.add_row(jobs::ended, jobs::ended_key(ended_us, job), {});
    s.add_row(jobs::expiry,
              jobs::expiry_key(ended_us + record.retention_us, jobs::expiring::job, key), {});
  }
  --s.open_added;
  ++s.facts;
  return {};
}

result<job_record> jobs_batch::find(const job_id& job) const {
  const auto found = pending_->look(job);
  if (!found)
    return found.why();
  return (*found)->record;
}

result<key_entry> jobs_batch::find_by_key(std::string_view principal, std::string_view key,
                                          std::int64_t now_us) const {
  return pending_->find_key(jobs::idempotency_key(principal, key), now_us);
}

result<output_position> jobs_batch::position(const job_id& job) const {
  return pending_->position(job);
}

status jobs_batch::commit(durability how) { return pending_->commit(how); }

} // namespace bitnetd::store
