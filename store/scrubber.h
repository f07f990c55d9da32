// SPDX-License-Identifier: MIT
#pragma once

#include <rocksdb/db.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace bitnetd::store {

/// Takes erased rows off the disk. RocksDB only writes that a row is gone; its bytes stay in
/// tables, blob files and the log until these are rewritten for other reasons, which may be never.
/// A thread of its own does it soon after: it writes out what is in memory, so that the log goes,
/// and compacts the ranges that held the rows, with the blobs of the tables in them.
class scrubber {
public:
  /// Both outlive the scrubber.
  scrubber(rocksdb::DB& db, std::span<rocksdb::ColumnFamilyHandle* const> columns);
  ~scrubber(); ///< gives up what is under way

  /// What this batch erases, once it is written; nobody waits. Several become one range a column.
  void follow(const rocksdb::WriteBatch& written);

private:
  struct range {
    std::string first, last;
  };
  using ranges = std::map<std::uint32_t, range>; ///< by the number of the column family

  void run();
  void scrub(const ranges& erased);

  rocksdb::DB& db_;
  std::vector<rocksdb::ColumnFamilyHandle*> columns_;
  std::mutex mutex_;
  std::condition_variable changed_;
  ranges erased_;
  std::atomic<bool> ends_ = false;
  std::thread thread_; ///< begun by the first call
};

} // namespace bitnetd::store
