// SPDX-License-Identifier: MIT
#include "store/jobs_impl.h"
#include "store/keys.h"

#include <algorithm>
#include <limits>

namespace bitnetd::store {
namespace {

constexpr std::size_t max_list = 500;
constexpr std::size_t max_looked_at = 10'000; // rows per list call, about 10 us each

} // namespace

result<job_page> jobs_db::list(const list_query& query) const {
  if (query.limit == 0 || query.limit > max_list)
    return status(errc::invalid, "limit: expected 1 to 500, got " + std::to_string(query.limit));
  const auto principal = query.principal.value_or(std::string());
  if (query.principal && principal.empty())
    return status(errc::invalid, "principal: expected a name, got an empty one");

  const auto prefix = jobs::owner_prefix(principal);
  auto row = impl_->rows->rows(jobs::owners, prefix, prefix_end(prefix));
  job_id last;
  last.bytes.fill(0xFF);
  row.seek_at_or_before(jobs::owner_key(principal, query.after.value_or(last)));
  if (query.after && row.valid() && row.key() == jobs::owner_key(principal, *query.after))
    row.previous();

  job_page page;
  for (std::size_t looked_at = 0; row.valid(); row.previous(), ++looked_at) {
    key_reader parts(row.key());
    (void)parts.text();
    const auto id = parts.id();
    // An id's time is never before its job's: everything further back is older.
    if (static_cast<std::int64_t>(id.unix_ms()) * 1000 + 999 < query.since_us)
      break;
    if (page.jobs.size() == query.limit || looked_at == max_looked_at) {
      page.next = last;
      break;
    }
    last = id;
    auto job = impl_->find(id);
    if (!job) {
      if (job.why().code() != errc::not_found) // removed while we read
        page.unreadable.push_back(id);
      continue;
    }
    const bool wanted = query.states.empty() || std::find(query.states.begin(), query.states.end(),
                                                          job->state) != query.states.end();
    if (wanted && job->created_us >= query.since_us)
      page.jobs.push_back(std::move(*job));
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return page;
}

result<std::vector<job_record>> jobs_db::children(const job_id& parent, std::uint32_t from_index,
                                                  std::size_t limit) const {
  auto row = impl_->rows->rows(jobs::children, jobs::child_key(parent, from_index),
                               prefix_end(jobs::job_key(parent)));
  std::vector<job_record> out;
  for (; row.valid() && out.size() < limit; row.next()) {
    auto job = impl_->find(key_reader(row.value()).id());
    if (!job && job.why().code() == errc::not_found)
      continue; // removed while we read
    if (!job)
      return job.why();
    out.push_back(std::move(*job));
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<std::vector<open_job>> jobs_db::open_jobs(const std::optional<open_job>& after,
                                                 std::size_t limit) const {
  auto row = impl_->rows->rows(jobs::open);
  if (after) {
    const auto key = jobs::open_key(*after);
    row.seek(key);
    if (row.valid() && row.key() == key)
      row.next();
  }
  std::vector<open_job> out;
  for (; row.valid() && out.size() < limit; row.next()) {
    auto job = jobs::read_open(row.key(), row.value());
    if (!job)
      return job.why();
    out.push_back(std::move(*job));
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<overdue_jobs> jobs_db::overdue(std::int64_t now_us, std::size_t limit) const {
  overdue_jobs out;
  for (std::uint8_t cls = 0; cls < n_job_classes; ++cls) {
    const auto wanted = static_cast<job_class>(cls);
    auto row = impl_->rows->rows(jobs::open, jobs::open_class_key(wanted),
                                 prefix_end(jobs::open_class_key(wanted)));
    for (; row.valid(); row.next()) {
      auto job = jobs::read_open(row.key(), row.value());
      if (!job)
        return job.why();
      if (job->deadline_us == 0)
        break;
      if (job->deadline_us > now_us || out.jobs.size() == limit) {
        out.next_us = out.next_us == 0 ? job->deadline_us : std::min(out.next_us, job->deadline_us);
        break;
      }
      out.jobs.push_back(std::move(*job));
    }
    if (auto ended = row.state(); !ended)
      return ended;
  }
  return out;
}

result<std::vector<open_job>> jobs_db::waking(const open_job& after, std::int64_t until_us,
                                              std::size_t limit) const {
  const auto from = jobs::waking_key(after.not_before_us, after.id);
  auto row = impl_->rows->rows(jobs::waking, from, key_writer().time(until_us + 1).take());
  std::vector<open_job> out;
  for (; row.valid() && out.size() < limit; row.next()) {
    if (row.key() == from)
      continue;
    auto job = jobs::read_open(row.value(), jobs::open_value(after));
    if (!job)
      return job.why();
    job->not_before_us = key_reader(row.key()).time();
    out.push_back(std::move(*job));
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<std::vector<job_id>> jobs_db::impl::live(std::string_view why) const {
  std::vector<job_id> out;
  auto row = rows->rows(jobs::live);
  for (; row.valid(); row.next())
    if (row.value() == why)
      out.push_back(key_reader(row.key()).id());
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<std::vector<job_id>> jobs_db::open_batches() const { return impl_->live(jobs::live_batch); }
result<std::vector<job_id>> jobs_db::running() const { return impl_->live(jobs::live_running); }

result<std::vector<completed_item>>
jobs_db::completed(const job_id& parent, std::uint32_t from_number, std::size_t limit) const {
  auto row = impl_->rows->rows(jobs::completed, jobs::completed_key(parent, from_number),
                               prefix_end(jobs::job_key(parent)));
  std::vector<completed_item> out;
  for (; row.valid() && out.size() < limit; row.next()) {
    auto item = jobs::read_completed(row.key(), row.value());
    if (!item)
      return item.why();
    out.push_back(*item);
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<completed_counts> jobs_db::count_completed(const job_id& parent) const {
  const auto prefix = jobs::job_key(parent);
  auto row = impl_->rows->rows(jobs::completed, prefix, prefix_end(prefix));
  completed_counts out;
  for (; row.valid(); row.next()) {
    const auto item = jobs::read_completed(row.key(), row.value());
    if (!item)
      return item.why();
    ++(item->state == job_state::done ? out.done : out.failed);
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<std::vector<job_record>> jobs_db::dead(const std::optional<job_id>& after,
                                              std::size_t limit) const {
  auto row = impl_->rows->rows(jobs::dead);
  auto from = key_writer().time(std::numeric_limits<std::int64_t>::max()).take();
  if (after) {
    const auto last = impl_->find(*after);
    if (!last)
      return last.why();
    from = jobs::dead_key(last->ended_us, *after);
  }
  row.seek_at_or_before(from);
  std::vector<job_record> out;
  for (; row.valid() && out.size() < limit; row.previous()) {
    if (row.key() == from)
      continue;
    key_reader parts(row.key());
    (void)parts.time();
    auto job = impl_->find(parts.id());
    if (!job && job.why().code() == errc::not_found)
      continue; // removed while we read
    if (!job)
      return job.why();
    out.push_back(std::move(*job));
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<job_id> jobs_db::last_id() const { return impl_->last_id(); }

result<job_id> jobs_db::impl::last_id() const {
  job_id greatest;
  greatest.bytes.fill(0xFF);
  auto row = rows->rows(jobs::records);
  row.seek_at_or_before(jobs::job_key(greatest));
  if (row.valid())
    return key_reader(row.key()).id();
  if (auto ended = row.state(); !ended)
    return ended;
  return job_id{};
}

} // namespace bitnetd::store
