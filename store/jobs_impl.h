// SPDX-License-Identifier: MIT
#pragma once

#include "store/database.h"
#include "store/jobs_columns.h"
#include "store/jobs_db.h"
#include "store/witness.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace bitnetd::store {

// Inside of jobs_db and jobs_batch, shared by jobs_db.cpp (open, read one), jobs_lists.cpp (read
// many), jobs_batch.cpp (facts), jobs_pending.cpp (what a batch sees, commit) and
// jobs_retention.cpp (remove).

struct jobs_db::impl {
  jobs_options options;
  std::filesystem::path directory;
  std::unique_ptr<witness> seen; // before rows: told of files until those are closed
  std::mutex files_mutex;        // between reading the MANIFEST's mark and telling it
  std::unique_ptr<database> rows;
  std::optional<journal_loss> loss;
  mutable std::mutex totals_mutex; // the writer changes them, anybody reads
  job_totals totals;
  job_id newest; // no record has a greater id; the writer's

  result<job_record> find(const job_id& job) const;
  result<key_entry> find_key(const std::string& row, std::int64_t now_us) const;
  result<output_position> position(const job_id& job) const;
  result<job_id> last_id() const;
  result<std::vector<job_id>> live(std::string_view why) const;
  /// The number that the next item of this batch to end will have.
  result<std::uint32_t> next_completed(const job_id& parent) const;
  void watch();       // tells the witness how far the journal is synced
  void watch_files(); // tells the witness how far the MANIFEST goes; any thread
};

struct jobs_batch::pending {
  /// A job that this batch has looked at or changed.
  struct held {
    job_record record;              // without request
    std::uint64_t stored_bytes = 0; // of its row as it is in the database; 0: not there yet
    bool changed = false;
    bool removed = false;
  };

  explicit pending(jobs_db::impl& database) : db(database) {}

  jobs_db::impl& db;
  write_batch rows;
  std::map<job_id, held> jobs;
  std::map<job_id, output_position> output_ends; // of jobs whose output this batch changes
  std::map<std::string, key_entry> keys;         // idempotency rows this batch writes
  std::set<std::string> children;                // child rows this batch adds
  std::map<job_id, std::uint32_t> completions;   // by batch: number of its next item to end
  // What commit will add to the totals.
  std::int64_t bytes = 0, jobs_added = 0, open_added = 0;
  std::uint64_t accepted = 0;
  std::size_t facts = 0;

  /// errc::exists where the job is in the database or in this batch.
  status is_new(const job_id& job);
  /// The job as this batch sees it.
  result<held*> look(const job_id& job);
  /// The same; invalid if it has ended.
  result<held*> look_open(const job_id& job);
  result<key_entry> find_key(const std::string& row, std::int64_t now_us) const;
  result<output_position> position(const job_id& job) const;

  void add_row(std::size_t column, std::string_view key, std::string_view value);
  void drop_row(std::size_t column, std::string_view key, std::uint64_t value_bytes);

  /// Whether this job may be removed now.
  status removable(const held& job) const;
  /// Drops all rows of one ended job, not those of its children.
  status drop_job(held& job);
  status drop_output(const job_id& job);
  status drop_completions(const job_id& parent);
  /// The row that says that this job runs, if it does.
  void set_live(held& job, bool runs);
  /// Writes that an item of a batch has ended.
  status complete(const job_record& child);
  /// Drops at most `limit` children of an ended batch; how many are left is not known, but whether
  /// all are gone is: the result is less than `limit`.
  result<std::size_t> drop_children(const job_id& parent, std::size_t limit);
  /// Removes an ended job; of a batch as many children as `budget` allows, itself last. Takes what
  /// it did off `budget`. True if the job is gone.
  result<bool> remove_within(const job_id& job, std::size_t& budget);

  status commit(durability how);
  void clear();
};

} // namespace bitnetd::store
