// SPDX-License-Identifier: MIT
#include "store/jobs_migration.h"

#include "store/jobs_columns.h"
#include "store/keys.h"
#include "store/records.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

namespace bitnetd::store {
namespace {

constexpr std::size_t rows_at_once = 10'000; // of one write

class migration {
public:
  explicit migration(database& rows) : rows_(rows) {}

  status run() {
    auto row = rows_.rows(jobs::records);
    for (; row.valid(); row.next()) {
      const auto job = decode_job(row.key(), row.value());
      // What cannot be read stays as it is, and is told of where it is looked for.
      if (job)
        move(*job);
      if (auto written = write_if_large(); !written)
        return written;
    }
    if (auto ended = row.state(); !ended)
      return ended;
    for (auto& [parent, items] : ended_items_) {
      std::sort(items.begin(), items.end());
      std::uint32_t number = 0;
      for (const auto& [ended_us, index, child, state] : items)
        put(jobs::completed, jobs::completed_key(parent, number++),
            jobs::completed_value(child, index, state));
      if (auto written = write_if_large(); !written)
        return written;
    }
    return rows_.write(batch_, false);
  }

private:
  void move(const job_record& job) {
    const auto key = jobs::job_key(job.id);
    if (is_terminal(job.state)) {
      if (job.parent)
        ended_items_[*job.parent].emplace_back(job.ended_us, job.index, job.id, job.state);
      if (job.state == job_state::dead)
        put(jobs::dead, jobs::dead_key(job.ended_us, job.id), {});
      return;
    }
    const auto place =
        jobs::open_key({job.id, job.cls, job.deadline_us, job.not_before_us, job.principal});
    if (job.is_batch) {
      batch_.erase(rows_, jobs::open, place);
      put(jobs::live, key, jobs::live_batch);
      return;
    }
    if (job.state == job_state::running)
      put(jobs::live, key, jobs::live_running);
    if (job.not_before_us > 0)
      put(jobs::waking, jobs::waking_key(job.not_before_us, job.id), place);
  }

  void put(std::size_t column, const std::string& key, std::string_view value) {
    batch_.put(rows_, column, key, value);
  }

  status write_if_large() {
    if (batch_.size() < rows_at_once)
      return {};
    auto written = rows_.write(batch_, false);
    batch_.clear();
    return written;
  }

  using ended_item = std::tuple<std::int64_t, std::uint32_t, job_id, job_state>;
  database& rows_;
  write_batch batch_;
  std::map<job_id, std::vector<ended_item>> ended_items_;
};

} // namespace

status migrate_journal_1_to_2(database& rows) { return migration(rows).run(); }

} // namespace bitnetd::store
