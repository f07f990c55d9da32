// SPDX-License-Identifier: MIT
#pragma once

#include "store/resources.h"
#include "store/status.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bitnetd::store {

// What this project needs of RocksDB, without its headers: jobs_db and answers_db are written on
// top of this, and only database*, resources* and scrubber* include rocksdb/.

/// How the rows of a column family are kept.
enum class column_kind {
  index,   ///< small rows read in order
  lookup,  ///< rows found by their whole key: bloom filter
  numbers, ///< incompressible rows
  text, ///< rows of any size; the large ones in blob files, so that compaction does not copy them
};

struct column {
  std::string_view name;
  column_kind kind = column_kind::index;
  /// Its keys end in an id, and what comes before is one of few: their rows are mostly written in
  /// the order of the ids, and the place of the last one of each is remembered.
  bool ends_in_id = false;
};

struct database_options {
  std::shared_ptr<const resources> shared;
  std::uint64_t max_log_bytes = 64ull << 20;
  /// Reads past damage instead of refusing: to save what is left of a copy, never to work on.
  bool salvage = false;
  /// Called after tables were written or dropped, before the logs they replace are removed; on
  /// threads of RocksDB, several at once, from within the constructor to the destructor's end.
  std::function<void()> on_files_changed = {};
};

/// Rows to be written together.
class write_batch {
public:
  write_batch();
  ~write_batch();
  write_batch(write_batch&&) noexcept;
  write_batch& operator=(write_batch&&) noexcept;

  // `column` is the position in the list that the database was opened with.
  void put(const class database& db, std::size_t column, std::string_view key,
           std::string_view value);
  void erase(const class database& db, std::size_t column, std::string_view key);
  [[nodiscard]] std::size_t size() const noexcept;
  void clear();
  /// Remembers how much the batch holds; back() drops what was added since.
  void mark();
  void back();

private:
  friend class database;
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// Walks rows in the order of their keys, on a snapshot. Views are good until the next move.
class cursor {
public:
  ~cursor();
  cursor(cursor&&) noexcept;
  cursor& operator=(cursor&&) noexcept;

  [[nodiscard]] bool valid() const;
  [[nodiscard]] std::string_view key() const;
  [[nodiscard]] std::string_view value() const;
  void next();
  void previous();
  void seek(std::string_view key);              ///< the first row at or after
  void seek_at_or_before(std::string_view key); ///< the last row at or before
  /// Why valid() is false: ok at the end of the rows.
  status state() const;

private:
  friend class database;
  struct impl;
  explicit cursor(std::unique_ptr<impl> parts);
  std::unique_ptr<impl> impl_;
};

/// One open RocksDB with a fixed list of column families.
class database {
public:
  /// Opens or creates. A torn end of the log is cut off; damage within the log refuses (see
  /// docs/store.md, recovery). Throws open_error. Column families that are not in `columns` mean a
  /// newer version of the program: errc::newer_schema. columns[0] is "default".
  database(const std::filesystem::path& directory, std::span<const column> columns,
           const database_options& options);
  ~database(); ///< flushes
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  /// Throws open_error(locked) when a process has the database there open.
  static void check_unlocked(const std::filesystem::path& directory);

  /// Makes a database that does not open one that does, from the tables and logs that read. Rows
  /// are lost without a word: for copies only.
  static status repair(const std::filesystem::path& directory, std::span<const column> columns);

  /// Removes the files of a database, and no others.
  static status destroy(const std::filesystem::path& directory, std::span<const column> columns);

  result<std::string> get(std::size_t column, std::string_view key) const;
  /// Rows with lower <= key < upper; an empty `upper` means to the end. Starts at the first.
  [[nodiscard]] cursor rows(std::size_t column, std::string_view lower = {},
                            std::string_view upper = {}) const;

  status write(write_batch& batch, bool sync);
  /// Written and synced; soon after, what the batch erases is off the disk as well (scrubber.h),
  /// unless the process ends before: then it goes when RocksDB compacts by itself.
  status erase_for_good(write_batch& batch);
  status sync();
  status flush();
  /// Asks for writes again after the disk was full. no_space: not yet. io_error: there is room, and
  /// only an open will do.
  status resume();

  /// Number of the latest row written. Rises with every row; a log that lost its end shows in it.
  [[nodiscard]] std::uint64_t sequence() const;
  [[nodiscard]] std::uint64_t disk_bytes() const;

private:
  friend class write_batch;
  struct impl;
  static void close(impl& parts);
  static std::string short_blob_file(const impl& parts);
  std::unique_ptr<impl> impl_;
};

} // namespace bitnetd::store
