// SPDX-License-Identifier: MIT
#include "store/scrubber.h"

#include "base/log.h"

#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace bitnetd::store {
namespace {

using visitor = std::function<void(std::uint32_t, const rocksdb::Slice&)>;

/// Lists the rows that a batch erases.
class erasures final : public rocksdb::WriteBatch::Handler {
public:
  explicit erasures(visitor visit) : visit_(std::move(visit)) {}

  rocksdb::Status PutCF(std::uint32_t, const rocksdb::Slice&, const rocksdb::Slice&) override {
    return rocksdb::Status::OK();
  }
  rocksdb::Status DeleteCF(std::uint32_t column, const rocksdb::Slice& key) override {
    visit_(column, key);
    return rocksdb::Status::OK();
  }

private:
  visitor visit_;
};

rocksdb::CompactRangeOptions rewriting(std::atomic<bool>& canceled) {
  rocksdb::CompactRangeOptions out;
  out.exclusive_manual_compaction = false; // RocksDB's own go on
  // Without this the lowest tables stay as they are, and so do the rows in them.
  out.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  out.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  out.blob_garbage_collection_age_cutoff = 1.0;
  out.canceled = &canceled;
  return out;
}

} // namespace

scrubber::scrubber(rocksdb::DB& db, std::span<rocksdb::ColumnFamilyHandle* const> columns)
    : db_(db), columns_(columns.begin(), columns.end()) {}

scrubber::~scrubber() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable())
    thread_.join();
}

void scrubber::follow(const rocksdb::WriteBatch& written) {
  const std::lock_guard lock(mutex_);
  erasures all([this](std::uint32_t column, const rocksdb::Slice& key) {
    const auto text = key.ToString();
    const auto [found, is_new] = erased_.try_emplace(column, range{text, text});
    if (is_new)
      return;
    found->second.first = std::min(found->second.first, text);
    found->second.last = std::max(found->second.last, text);
  });
  written.Iterate(&all).PermitUncheckedError(); // a batch of ours has no other entries
  if (erased_.empty())
    return;
  if (!thread_.joinable())
    thread_ = std::thread([this] { run(); });
  changed_.notify_one();
}

void scrubber::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ends_ || !erased_.empty(); });
    if (ends_)
      return;
    const auto now = std::exchange(erased_, {});
    lock.unlock();
    scrub(now);
    lock.lock();
  }
}

void scrubber::scrub(const ranges& erased) {
  auto done = db_.Flush(rocksdb::FlushOptions{}, columns_);
  const auto options = rewriting(ends_);
  for (auto* column : columns_) {
    const auto found = erased.find(column->GetID());
    if (found == erased.end() || !done.ok() || ends_)
      continue;
    const rocksdb::Slice first = found->second.first, last = found->second.last;
    done = db_.CompactRange(options, column, &first, &last);
  }
  if (!done.ok() && !ends_)
    log::warn("store: erased rows could not be taken off the disk now: {}", done.ToString());
}

} // namespace bitnetd::store
