// SPDX-License-Identifier: MIT
#pragma once

#include "store/cache_entry.h"
#include "store/resources.h"
#include "store/status.h"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::store {

struct answers_options {
  /// Shared with jobs_db; made anew when empty.
  std::shared_ptr<const resources> shared;
  /// The log is bounded by this: it is what opening replays.
  std::uint64_t max_log_bytes = 64ull << 20;
};

struct answer_totals {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0; ///< keys and values of all rows, uncompressed

  bool operator==(const answer_totals&) const = default;
};

inline constexpr std::size_t max_learned_bytes = 1 << 20;

/// The answers of the cache: one RocksDB in the cache directory. Formats: docs/store.md.
///
/// Promise  A put that returned survives the death of the process; it survives the loss of power
///          once sync() has returned (the keeper calls it every 100 ms or 64 entries). An erase
///          that returned survives both. What expire and evict_to dropped may come back after a
///          loss of power, expired or as good as it was.
/// Threads  Writes belong to one thread, the keeper's. Reads and next_id may come from any thread.
/// Errors   Opening throws open_error for anything but damage: a damaged database is wiped and made
///          anew, because it can be recomputed. Everything else returns a status; corrupt on a read
///          means that this entry is to be treated as absent (and erased).
class answers_db {
public:
  answers_db(const std::filesystem::path& directory, const answers_options& options = {});
  /// Flushes, so that the next open replays nothing.
  ~answers_db();
  answers_db(const answers_db&) = delete;
  answers_db& operator=(const answers_db&) = delete;

  /// Why the database was wiped when it was opened; empty if it was not.
  [[nodiscard]] const std::string& wiped() const noexcept;

  /// In the directory, beside the database: where an index over its vectors may keep files. It is
  /// not made here.
  [[nodiscard]] std::filesystem::path index_directory() const;

  /// A new entry id. Greater than every id given before, by this process or any before it.
  result<std::uint64_t> next_id();

  /// Stores entries, all or none, in one write. An entry whose (partition, key) is stored already,
  /// or comes earlier in the list, takes its place; the replaced ones are returned. invalid: an id
  /// that is not from next_id, expiry before creation, a bound of cache_entry broken; exists: an id
  /// that is stored.
  result<std::vector<erased_entry>> put(std::span<const cache_entry> entries);

  /// The entry under this exact key, if its canonical bytes are these; not_found otherwise.
  /// `prompt` and `vector` are left empty. An expired entry is returned as well: whether it may be
  /// served is the caller's decision (max-stale).
  result<cache_entry> get_exact(const hash128& partition, const hash128& key,
                                std::string_view canonical) const;

  /// The whole entry, expired or not.
  result<cache_entry> get(std::uint64_t id) const;

  /// Adds to hit counts; unknown ids are skipped.
  status touch(std::span<const cache_touch> touches);

  /// Deletes, synced, and soon after off the disk; unknown ids are skipped. Returns what was there.
  /// Takes damaged entries away as well, and then counts the totals anew.
  result<std::vector<erased_entry>> erase(std::span<const std::uint64_t> ids);

  /// Deletes at most `limit` entries whose time has passed, soonest first.
  result<std::vector<erased_entry>> expire(std::int64_t now_us, std::size_t limit);

  /// Deletes entries until totals().bytes <= bytes: again and again the worst (eviction.h) of 16
  /// drawn at random. While an owner holds more than `share` of `bytes`, of the entries of the one
  /// that holds most; nobody within the share loses an entry then. Pinned ones stay. One write for
  /// every 256.
  result<std::vector<erased_entry>> evict_to(std::uint64_t bytes, std::int64_t now_us,
                                             double share = 1);

  /// Gives an entry another time to expire, synced; pinned_us: it neither expires nor is evicted.
  /// not_found: there is no such entry.
  status set_expiry(std::uint64_t id, std::int64_t expires_us);

  /// Stores rows in place of those with the same entry and name; they are synced with the next
  /// sync. Rows of entries that are not there are left out. Not in the totals: at most
  /// max_learned_bytes each.
  status learn(std::span<const learned_row> rows);
  /// Every row that was learned; `visit` returns false to stop. Unreadable ones are left out.
  status for_each_learned(const std::function<bool(const learned_row&)>& visit) const;

  /// Every entry's head and vector, partition by partition, ids rising within each; for the start.
  /// `visit` returns false to stop. Unreadable rows are skipped and counted in the result.
  result<std::size_t> for_each(const std::function<bool(const cache_entry_head&)>& visit) const;

  /// Makes every entry with this tag invalid that has its id by now, in one synced write whatever
  /// their number. Takes effect at once, before it returns; if it fails, until the process ends.
  status invalidate(const std::string& tag);
  /// Whether one of these tags was invalidated after the entry got its id. From any thread.
  [[nodiscard]] bool is_invalidated(std::uint64_t id, std::span<const std::string> tags) const;
  /// Erases what is_invalidated.
  result<std::vector<erased_entry>> purge();

  [[nodiscard]] answer_totals totals() const;
  /// Bytes of this owner's entries.
  [[nodiscard]] std::uint64_t bytes_of(const hash128& owner) const;
  /// Counts everything anew by reading it all; equals totals() in a sound database.
  result<answer_totals> recount() const;
  /// Bytes of this database on the disk: tables, blobs and log.
  [[nodiscard]] std::uint64_t disk_bytes() const;

  /// Syncs the log: everything put before survives the loss of power.
  status sync();
  /// After no_space or io_error: makes writes possible again if the cause is gone. no_space while
  /// that is not so, or recovery is under way: the store looks for room by itself every few
  /// seconds, calling again (or just writing again) is enough.
  status resume();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace bitnetd::store
