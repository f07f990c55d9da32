// SPDX-License-Identifier: MIT
#include "store/database_settings.h"

#include "base/log.h"
#include "store/resources_parts.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

namespace bitnetd::store {
namespace {

/// RocksDB's warnings go to our log. Its own log file is no choice: on a full disk its writer fails
/// an assertion (Debian builds with them) and takes the whole process along.
class log_bridge final : public rocksdb::Logger {
public:
  log_bridge() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using Logger::Logv;
  void Logv(const char*, va_list) override {} // headers and what has no level
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level == rocksdb::InfoLogLevel::HEADER_LEVEL)
      return;
    std::array<char, 1024> line{};
    if (std::vsnprintf(line.data(), line.size(), format, arguments) < 0)
      return;
    std::string_view text(line.data());
    text = text.substr(0, text.find_last_not_of('\n') + 1); // some lines bring their own
    if (level == rocksdb::InfoLogLevel::WARN_LEVEL)
      log::warn("rocksdb: {}", text);
    else
      log::error("rocksdb: {}", text);
  }
};

/// Tells that the list of files has changed. Flushes and compactions tell before they remove what
/// they replaced.
class file_listener final : public rocksdb::EventListener {
public:
  explicit file_listener(std::function<void()> changed) : changed_(std::move(changed)) {}

  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { changed_(); }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override {
    changed_();
  }

private:
  std::function<void()> changed_;
};

/// What stands before the id that ends a key.
class before_id final : public rocksdb::SliceTransform {
public:
  const char* Name() const override { return "bitnetd.before_id"; }
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() >= id_bytes; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), key.size() - id_bytes};
  }

private:
  static constexpr std::size_t id_bytes = 16;
};

} // namespace

rocksdb::DBOptions database_settings(const database_options& options) {
  rocksdb::DBOptions out;
  const auto& shared = options.shared->get();
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  out.paranoid_checks = true;
  // The default mode cuts the log at the first damaged byte and says nothing; measured, it dropped
  // half of the synced rows. Jobs would be lost, and in the cache deleted answers would come back.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // A whole log file that is missing shows at the next open.
  out.track_and_verify_wals_in_manifest = !options.salvage;
  if (options.salvage) {
    out.paranoid_checks = false;
    out.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  }
  out.max_total_wal_size = options.max_log_bytes;
  out.max_background_jobs = 2;
  out.max_open_files = 256;
  out.max_manifest_file_size = 16 << 20; // it is copied, and read whole at an open
  out.bytes_per_sync = 1 << 20;          // no bursts of writeback while jobs are computed
  out.write_buffer_manager = shared.write_buffers;
  out.rate_limiter = shared.background;
  out.info_log = std::make_shared<log_bridge>();
  if (options.on_files_changed)
    out.listeners.push_back(std::make_shared<file_listener>(options.on_files_changed));
  return out;
}

rocksdb::ColumnFamilyOptions column_settings(const column& what, const resources::parts& shared) {
  rocksdb::ColumnFamilyOptions out;
  out.write_buffer_size = 8 << 20;
  out.compression = rocksdb::kLZ4Compression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = shared.cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  if (what.ends_in_id) // else each row of another owner would search its place from the top
    out.memtable_insert_with_hint_prefix_extractor = std::make_shared<before_id>();
  switch (what.kind) {
  case column_kind::index:
    break;
  case column_kind::lookup:
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    break;
  case column_kind::numbers:
    out.compression = rocksdb::kNoCompression;
    break;
  case column_kind::text:
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    out.enable_blob_files = true;
    out.min_blob_size = 512;
    // Zstandard took a fifth of the daemon's time while small jobs were accepted one after another.
    out.blob_compression_type = rocksdb::kLZ4Compression;
    out.enable_blob_garbage_collection = true;
    break;
  }
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

} // namespace bitnetd::store
