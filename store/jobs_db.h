// SPDX-License-Identifier: MIT
#pragma once

#include "store/disk_room.h"
#include "store/job_record.h"
#include "store/resources.h"
#include "store/status.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::store {

struct jobs_options {
  /// Shared with answers_db; made anew when empty.
  std::shared_ptr<const resources> shared;
  /// The log is bounded by this: it is what opening replays.
  std::uint64_t max_log_bytes = 64ull << 20;
  /// How long a key stays bound to a job that was removed earlier, counted from its acceptance.
  std::chrono::seconds key_retention{24 * 3600};
  /// The witness file is written after every synced commit and fdatasync'ed when this much time has
  /// passed since the last time; 0: always. See docs/store.md for what each choice promises.
  std::chrono::milliseconds witness_sync{100};
};

/// How durable a commit is when it returns.
enum class durability {
  written, ///< in the kernel: survives the death of this process
  synced,  ///< on the disk: survives the loss of power, with everything committed before it
};

/// What is stored, kept with every commit.
struct job_totals {
  std::uint64_t accepted = 0; ///< jobs ever accepted
  std::uint64_t jobs = 0;     ///< jobs stored now, children included
  std::uint64_t open = 0;     ///< of these not ended
  std::uint64_t bytes = 0;    ///< keys and values of all their rows, uncompressed

  bool operator==(const job_totals&) const = default;
};

/// A shortened log that an open found: facts that had been synced and are not there any more.
struct journal_loss {
  std::int64_t found_us = 0;         ///< when an open found it
  std::uint64_t accepted_before = 0; ///< accepted jobs that the witness saw synced
  std::uint64_t accepted_found = 0;  ///< accepted jobs that the log still had
  std::uint64_t lost_writes = 0;     ///< rows of any kind that are missing

  bool operator==(const journal_loss&) const = default;
};

/// An unfinished job as the order index has it.
struct open_job {
  job_id id;
  job_class cls = job_class::normal;
  std::int64_t deadline_us = 0;   ///< 0: none
  std::int64_t not_before_us = 0; ///< 0: none
  std::string principal;

  bool operator==(const open_job&) const = default;
};

/// An item of a batch that has ended.
struct completed_item {
  std::uint32_t number = 0; ///< 0, 1, 2, … in the order of the ends
  std::uint32_t index = 0;  ///< in the batch
  job_id child;
  job_state state = job_state::done;

  bool operator==(const completed_item&) const = default;
};

/// How many items of a batch have ended, and how.
struct completed_counts {
  std::uint32_t done = 0, failed = 0;

  bool operator==(const completed_counts&) const = default;
};

/// Stored text from an offset on.
struct output_piece {
  std::string text;
  std::uint32_t n_tokens = 0; ///< of the rows that begin in it
};

/// Waiting jobs whose deadline has passed, and when the next one will.
struct overdue_jobs {
  std::vector<open_job> jobs;
  std::int64_t next_us = 0; ///< 0: no other has a deadline
};

/// Which jobs to list: newest first. Children are never listed (see jobs_db::children).
struct list_query {
  std::optional<std::string> principal{}; ///< nothing: everybody's
  std::vector<job_state> states{};        ///< empty: all
  std::int64_t since_us = 0;              ///< created then or later
  std::optional<job_id> after{};          ///< page.next of the page before
  std::size_t limit = 100;                ///< 1 to 500
};

struct job_page {
  std::vector<job_record> jobs; ///< without `request`
  /// Jobs of this page whose record is damaged: listed, so that nobody takes them for gone.
  std::vector<job_id> unreadable;
  /// There may be more: ask again with this as `after`. A page can be short, even empty, and still
  /// have a next one: a call looks at no more than 10,000 rows.
  std::optional<job_id> next;
};

class jobs_db;

/// Facts that become true together: one write, one sync. The ledger collects what arrives and
/// commits it as a group. A batch sees its own facts: find and find_by_key look into it first. A
/// function that does not return ok has added nothing. Use on the ledger's thread. Two batches may
/// be open, but not with facts about the same job: the later commit would undo the earlier.
class jobs_batch {
public:
  jobs_batch(jobs_batch&&) noexcept;
  jobs_batch& operator=(jobs_batch&&) noexcept;
  ~jobs_batch();

  /// A new job: record, request, key, order and owner rows. State must be accepted or queued. A
  /// child's parent must be in the store or in this batch, be a batch and not have ended.
  /// exists: the id, the (principal, key) or the (parent, index) is taken; invalid: a bound or rule
  /// of job_record is broken.
  status accept(const job_record& job);

  /// One part of a batch was taken: its children are accepted in this same commit. Raises items by
  /// `new_items` and parts by one, and sets `more`.
  status grow(const job_id& parent, std::uint32_t new_items, bool more);

  /// accepted, queued, scheduled (or back: a released job that returns to the queue).
  status set_state(const job_id& job, job_state state);
  status set_running(const job_id& job, std::int64_t started_us);

  /// A process died while this job ran: attempts + 1, back to queued. Returns the new count.
  result<std::uint32_t> count_crash(const job_id& job);

  /// What the ledger needs to run it again: replaces job_record::options.
  status set_options(const job_id& job, std::string_view options);

  /// The next tokens of a job and the text bytes they completed; either may be empty. invalid
  /// unless `first_token` is where the stored output ends (position), or if the job has ended.
  status append_output(const job_id& job, std::uint64_t first_token,
                       std::span<const std::uint32_t> tokens, std::string_view text);
  /// Forgets all output: the job starts over.
  status reset_output(const job_id& job);

  /// Keeps the tokens and drops text beyond so many bytes: text that a continued job sends again.
  /// invalid when fewer bytes are stored.
  status trim_output(const job_id& job, std::uint64_t bytes);

  /// A dead job is queued again, as if it had never run; its output goes. invalid for any other
  /// state, and for an item of a batch: the batch has counted its end.
  status revive(const job_id& job);

  /// The end: state (terminal), result, error line and accounting in one. `result_json` may be
  /// empty. The output rows stay until the job is removed. invalid if the job has ended before.
  status finish(const job_id& job, job_state state, std::int64_t ended_us,
                std::string_view result_json, std::string_view error = {});

  /// Removes an ended job with request, result, output; a batch with all its children (about 50 us
  /// each; remove_expired does it in slices). The key stays bound for jobs_options::key_retention.
  /// invalid while the job or a child is open, or has facts in this batch.
  status remove(const job_id& job);

  /// Facts collected so far; 0: commit does nothing.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  /// As jobs_db's, with the facts of this batch.
  result<job_record> find(const job_id& job) const;
  result<key_entry> find_by_key(std::string_view principal, std::string_view key,
                                std::int64_t now_us) const;
  result<output_position> position(const job_id& job) const;

  /// Writes everything and empties the batch. After an error nothing is visible and the facts are
  /// still here: commit again, or drop the batch. After io_error they may show up at the next open
  /// all the same: acknowledge nothing, and tell nobody that it failed for good.
  status commit(durability how);

private:
  friend class jobs_db;
  explicit jobs_batch(jobs_db& db);
  struct pending;
  std::unique_ptr<pending> pending_;
};

/// The journal of durable jobs: one RocksDB in the state directory. Formats: docs/store.md.
///
/// Threads  Writes (batches, retention, resume, close) belong to one thread, the ledger's. Reads
///          may come from any thread.
/// Errors   Opening throws open_error. Everything else returns a status; nothing is ever dropped
///          because it cannot be read.
class jobs_db {
public:
  /// Opens or creates. A torn end of the log (a write that was never acknowledged) is cut off. If
  /// acknowledged facts are missing there, the loss is recorded and reported by losses(). Damage
  /// within the log or the files throws open_error(corrupt) and leaves the data untouched.
  jobs_db(const std::filesystem::path& directory, const jobs_options& options = {});
  /// Flushes, so that the next open replays nothing. Batches must be gone.
  ~jobs_db();
  jobs_db(const jobs_db&) = delete;
  jobs_db& operator=(const jobs_db&) = delete;

  [[nodiscard]] jobs_batch begin();

  /// Accepts all in one synced commit; all or none.
  status accept(std::span<const job_record> jobs);

  // ---- reads

  result<job_record> find(const job_id& job) const; ///< without `request`
  result<std::string> request(const job_id& job) const;
  result<std::string> result_json(const job_id& job) const; ///< not_found: no result stored
  /// not_found when the key is free, or was bound to a job that is removed and the time has passed.
  result<key_entry> find_by_key(std::string_view principal, std::string_view key,
                                std::int64_t now_us) const;

  result<output_position> position(const job_id& job) const; ///< zeros without output
  /// Rows from the one that holds token `from_token` on.
  result<std::vector<output_row>> output(const job_id& job, std::uint64_t from_token = 0) const;
  /// Text bytes [offset, offset + max_bytes) of the stored output, or what there is of them.
  result<output_piece> output_piece_at(const job_id& job, std::uint64_t offset,
                                       std::size_t max_bytes) const;
  /// The text alone.
  result<std::string> output_text(const job_id& job, std::uint64_t offset,
                                  std::size_t max_bytes) const;

  result<job_page> list(const list_query& query) const;
  /// Children with index >= from_index in order of index, at most `limit`.
  result<std::vector<job_record>> children(const job_id& parent, std::uint32_t from_index = 0,
                                           std::size_t limit = 500) const;

  /// Items that have ended, in that order, from this number on.
  result<std::vector<completed_item>> completed(const job_id& parent, std::uint32_t from_number = 0,
                                                std::size_t limit = 500) const;
  result<completed_counts> count_completed(const job_id& parent) const;

  /// Unfinished jobs in the order of release: class, deadline (none last), principal, id; at most
  /// `limit` from just after `after` on. Batches are not among them: they are not released.
  result<std::vector<open_job>> open_jobs(const std::optional<open_job>& after,
                                          std::size_t limit) const;

  /// Unfinished jobs whose deadline is `now_us` or earlier, at most `limit`.
  result<overdue_jobs> overdue(std::int64_t now_us, std::size_t limit) const;
  /// Unfinished jobs with a not_before up to `until_us`, earliest first, at most `limit`, from just
  /// after (not_before, id) of `after` on.
  result<std::vector<open_job>> waking(const open_job& after, std::int64_t until_us,
                                       std::size_t limit) const;
  /// What a start has to look at: batches that are open, and jobs that were running.
  result<std::vector<job_id>> open_batches() const;
  result<std::vector<job_id>> running() const;
  /// Dead jobs, latest first, items of batches included; from just before `after` on.
  result<std::vector<job_record>> dead(const std::optional<job_id>& after, std::size_t limit) const;

  /// The greatest id stored; zeros if there is none. For job_id_source.
  result<job_id> last_id() const;
  [[nodiscard]] job_totals totals() const;
  /// Counts everything anew by reading it all; equals totals() in a sound database.
  result<job_totals> recount() const;
  [[nodiscard]] std::optional<disk_room> room() const; ///< on the disk of this database
  /// Bytes of this database on the disk: tables and log.
  [[nodiscard]] std::uint64_t disk_bytes() const;
  /// Every shortened log that was ever found, oldest first.
  result<std::vector<journal_loss>> losses() const;
  /// The loss that this open found, if any.
  [[nodiscard]] const std::optional<journal_loss>& loss_at_open() const noexcept;

  // ---- retention: each call looks at no more than `limit` jobs and says which it removed (a
  // batch counts as one)

  /// Ended jobs whose retention has passed, and keys whose time has.
  result<std::vector<job_id>> remove_expired(std::int64_t now_us, std::size_t limit);
  /// Ended jobs, oldest end first, until totals().bytes <= bytes or none is left.
  result<std::vector<job_id>> remove_oldest(std::uint64_t bytes, std::size_t limit);

  /// Syncs the log: everything committed before survives the loss of power.
  status sync();
  /// After no_space or io_error: makes writes possible again if the cause is gone. no_space while
  /// that is not so, or recovery is under way: the store looks for room by itself every few
  /// seconds, calling again (or just writing again) is enough. io_error: only an open will do.
  status resume();

private:
  friend class jobs_batch;
  void finish_migration(const std::filesystem::path& directory);
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace bitnetd::store
