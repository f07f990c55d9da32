// SPDX-License-Identifier: MIT
#include "store/database.h"

#include "base/log.h"
#include "store/resources_parts.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/experimental.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace bitnetd::store {
namespace {

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

const std::string quota_text = std::system_category().message(EDQUOT);

errc code_of(const rocksdb::Status& s) {
  if (s.ok())
    return errc::ok;
  if (s.IsNotFound())
    return errc::not_found;
  // RocksDB knows no quotas: to it, a write above one is a broken disk.
  if (s.IsNoSpace() || (s.IsIOError() && s.ToString().find(quota_text) != std::string::npos))
    return errc::no_space;
  if (s.IsCorruption())
    return errc::corrupt;
  if (s.IsInvalidArgument())
    return errc::invalid;
  return errc::io_error;
}

status to_status(const rocksdb::Status& s) {
  if (s.ok())
    return {};
  return {code_of(s), s.ToString()};
}

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
  out.bytes_per_sync = 1 << 20; // no bursts of writeback while jobs are computed
  out.write_buffer_manager = shared.write_buffers;
  out.rate_limiter = shared.background;
  out.info_log = std::make_shared<log_bridge>();
  if (options.on_files_changed)
    out.listeners.push_back(std::make_shared<file_listener>(options.on_files_changed));
  return out;
}

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

/// Files of a database without the one that names its present state: RocksDB would take the folder
/// for new, and remove them.
bool lost_its_head(const std::filesystem::path& directory) {
  std::error_code failed;
  if (std::filesystem::exists(directory / "CURRENT", failed))
    return false;
  auto file = std::filesystem::directory_iterator(directory, failed);
  for (; !failed && file != std::filesystem::directory_iterator(); file.increment(failed)) {
    const auto name = file->path().filename().string();
    const auto extension = file->path().extension();
    if (extension == ".sst" || extension == ".log" || extension == ".blob" ||
        name.starts_with("MANIFEST-"))
      return true;
  }
  return false;
}

/// Whether some new files can be made there, as opening a database does.
bool has_room(const std::filesystem::path& directory) {
  constexpr int n_files = 16;
  const std::string block(4096, '\0');
  bool made = true;
  int n = 0;
  for (; made && n < n_files; ++n) {
    const auto name = directory / ("room-" + std::to_string(n));
    const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    made = file >= 0 &&
           ::write(file, block.data(), block.size()) == static_cast<ssize_t>(block.size());
    if (file >= 0)
      ::close(file);
  }
  std::error_code failed;
  while (n > 0)
    std::filesystem::remove(directory / ("room-" + std::to_string(--n)), failed);
  return made;
}

/// Of RocksDB's words about the file LOCK these two are about somebody else who holds it.
bool is_held(const std::string& text) {
  return text.find("While lock file") != std::string::npos ||
         text.find("lock hold by current process") != std::string::npos;
}

[[noreturn]] void refuse(const std::filesystem::path& directory, const rocksdb::Status& s) {
  const auto where = directory.string() + ": ";
  const auto text = s.ToString();
  if (is_held(text))
    throw open_error(errc::locked, where +
                                       "the database is open in another process; stop that "
                                       "one first (" +
                                       text + ")");
  if (s.IsCorruption() || s.IsPathNotFound())
    throw open_error(errc::corrupt,
                     where +
                         "the database is damaged; nothing was changed: copy the directory "
                         "aside before anything else (" +
                         text + ")");
  if (code_of(s) == errc::no_space)
    throw open_error(errc::no_space, where + "the disk is full; make room (" + text + ")");
  if (text.find("Permission denied") != std::string::npos ||
      text.find("Read-only file system") != std::string::npos)
    throw open_error(code_of(s), where +
                                     "the database cannot be written; it must belong to the "
                                     "user of this process, on a disk that is mounted for "
                                     "writing (" +
                                     text + ")");
  throw open_error(code_of(s), where + "cannot open the database (" + text + ")");
}

} // namespace

// ---- write_batch

struct write_batch::impl {
  rocksdb::WriteBatch rows;
};

struct cursor::impl {
  std::string lower, upper; // the iterator refers to the bounds
  rocksdb::Slice lower_slice, upper_slice;
  std::unique_ptr<rocksdb::Iterator> rows;
};

struct database::impl {
  std::shared_ptr<const resources> shared; // outlives the database
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> columns;
};

write_batch::write_batch() : impl_(std::make_unique<impl>()) {}
write_batch::~write_batch() = default;
write_batch::write_batch(write_batch&&) noexcept = default;
write_batch& write_batch::operator=(write_batch&&) noexcept = default;

// Adding to a WriteBatch fails only for rows over 4 GiB; the bounds of the records are far below.
void write_batch::put(const database& db, std::size_t column, std::string_view key,
                      std::string_view value) {
  impl_->rows.Put(db.impl_->columns[column], slice(key), slice(value)).PermitUncheckedError();
}

void write_batch::erase(const database& db, std::size_t column, std::string_view key) {
  impl_->rows.Delete(db.impl_->columns[column], slice(key)).PermitUncheckedError();
}

std::size_t write_batch::size() const noexcept {
  return static_cast<std::size_t>(impl_->rows.Count());
}
void write_batch::clear() { impl_->rows.Clear(); }
void write_batch::mark() { impl_->rows.SetSavePoint(); }
void write_batch::back() { impl_->rows.RollbackToSavePoint().PermitUncheckedError(); }

// ---- cursor

cursor::cursor(std::unique_ptr<impl> parts) : impl_(std::move(parts)) {}
cursor::~cursor() = default;
cursor::cursor(cursor&&) noexcept = default;
cursor& cursor::operator=(cursor&&) noexcept = default;

bool cursor::valid() const { return impl_->rows->Valid(); }
std::string_view cursor::key() const { return view(impl_->rows->key()); }
std::string_view cursor::value() const { return view(impl_->rows->value()); }
void cursor::next() { impl_->rows->Next(); }
void cursor::previous() { impl_->rows->Prev(); }
void cursor::seek(std::string_view key) { impl_->rows->Seek(slice(key)); }
void cursor::seek_at_or_before(std::string_view key) { impl_->rows->SeekForPrev(slice(key)); }
status cursor::state() const { return to_status(impl_->rows->status()); }

// ---- database

database::database(const std::filesystem::path& directory, std::span<const column> columns,
                   const database_options& options)
    : impl_(std::make_unique<impl>()) {
  impl_->shared = options.shared;
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed)
    throw open_error(failed == std::errc::no_space_on_device ? errc::no_space : errc::io_error,
                     directory.string() + ": cannot make the directory: " + failed.message());

  if (lost_its_head(directory))
    throw open_error(errc::corrupt, directory.string() +
                                        ": the database is damaged: its file CURRENT is missing; "
                                        "nothing was changed");
  const auto settings = database_settings(options);
  // A column family that we do not know was made by a newer version; RocksDB would only say that it
  // was not opened. Nothing there yet: the listing fails, and opening creates.
  std::vector<std::string> present;
  if (rocksdb::DB::ListColumnFamilies(settings, directory.string(), &present).ok())
    for (const auto& one : present)
      if (std::none_of(columns.begin(), columns.end(),
                       [&](const column& known) { return known.name == one; }))
        throw open_error(errc::newer_schema,
                         directory.string() + ": column family \"" + one +
                             "\" is unknown: the database was written by a newer version of "
                             "bitnetd; start that one");

  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto& one : columns)
    families.emplace_back(std::string(one.name), column_settings(one, options.shared->get()));
  rocksdb::DB* opened = nullptr;
  const auto s =
      rocksdb::DB::Open(settings, directory.string(), families, &impl_->columns, &opened);
  impl_->db.reset(opened);
  if (!s.ok())
    refuse(directory, s);
  if (const auto damaged = options.salvage ? std::string{} : short_blob_file(*impl_);
      !damaged.empty()) {
    close(*impl_);
    throw open_error(errc::corrupt, directory.string() + ": the database is damaged: " + damaged +
                                        " is missing or too short; nothing was changed");
  }
  // Compaction gives way to the threads that compute and answer.
  settings.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW);
}

database::~database() {
  if (!impl_->db)
    return;
  // Without this an open after a clean stop replays up to max_log_bytes. If it fails, the log has
  // everything, and the open says what is wrong.
  (void)flush();
  close(*impl_);
}

void database::close(impl& parts) {
  for (auto* column : parts.columns)
    parts.db->DestroyColumnFamilyHandle(column).PermitUncheckedError();
  parts.db->Close().PermitUncheckedError();
}

/// A blob file that is not what it was when it was written: opening looks at tables only, and a
/// missing one would show when somebody asks for what it held.
std::string database::short_blob_file(const impl& parts) {
  for (auto* column : parts.columns) {
    rocksdb::ColumnFamilyMetaData known;
    parts.db->GetColumnFamilyMetaData(column, &known);
    for (const auto& file : known.blob_files) {
      const auto path = std::filesystem::path(file.blob_file_path) /
                        std::filesystem::path(file.blob_file_name).relative_path();
      std::error_code failed;
      const auto size = std::filesystem::file_size(path, failed);
      if (failed || size < file.blob_file_size)
        return path.string();
    }
  }
  return {};
}

void database::check_unlocked(const std::filesystem::path& directory) {
  rocksdb::FileLock* lock = nullptr;
  const auto s = rocksdb::Env::Default()->LockFile((directory / "LOCK").string(), &lock);
  if (s.ok())
    rocksdb::Env::Default()->UnlockFile(lock).PermitUncheckedError();
  else if (is_held(s.ToString()))
    refuse(directory, s);
}

status database::repair(const std::filesystem::path& directory, std::span<const column> columns) {
  database_options options;
  options.shared = std::make_shared<const resources>();
  options.salvage = true;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto& one : columns)
    families.emplace_back(std::string(one.name), column_settings(one, options.shared->get()));
  return to_status(rocksdb::RepairDB(directory.string(), database_settings(options), families));
}

status database::destroy(const std::filesystem::path& directory, std::span<const column> columns) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto& one : columns) // blob files are found through the families' options
    families.emplace_back(std::string(one.name), rocksdb::ColumnFamilyOptions{});
  return to_status(rocksdb::DestroyDB(directory.string(), rocksdb::Options{}, families));
}

result<std::string> database::get(std::size_t column, std::string_view key) const {
  std::string value;
  const auto s = impl_->db->Get(rocksdb::ReadOptions{}, impl_->columns[column], slice(key), &value);
  if (!s.ok())
    return to_status(s);
  return value;
}

cursor database::rows(std::size_t column, std::string_view lower, std::string_view upper) const {
  auto parts = std::make_unique<cursor::impl>();
  rocksdb::ReadOptions options;
  parts->lower = lower;
  parts->upper = upper;
  parts->lower_slice = parts->lower;
  parts->upper_slice = parts->upper;
  options.iterate_lower_bound = &parts->lower_slice;
  if (!upper.empty())
    options.iterate_upper_bound = &parts->upper_slice;
  else
    options.fill_cache = false; // a walk over a whole column would push out what is read often
  parts->rows.reset(impl_->db->NewIterator(options, impl_->columns[column]));
  parts->rows->SeekToFirst();
  return cursor(std::move(parts));
}

status database::write(write_batch& batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  return to_status(impl_->db->Write(options, &batch.impl_->rows));
}

status database::sync() { return to_status(impl_->db->FlushWAL(true)); }

status database::flush() {
  return to_status(impl_->db->Flush(rocksdb::FlushOptions{}, impl_->columns));
}

status database::compact() {
  if (auto flushed = flush(); !flushed)
    return flushed;
  for (auto* column : impl_->columns) {
    const auto s =
        rocksdb::experimental::SuggestCompactRange(impl_->db.get(), column, nullptr, nullptr);
    if (!s.ok())
      return to_status(s);
  }
  return {};
}

status database::resume() {
  const auto s = impl_->db->Resume();
  if (s.IsBusy()) // RocksDB is at it: it looks for room every few seconds
    return {errc::no_space, "the disk was full; recovery is under way"};
  // A log that could not be begun (no inodes), and a write above a quota, are final for RocksDB,
  // whatever room there is later.
  if (code_of(s) == errc::no_space && s.severity() >= rocksdb::Status::Severity::kFatalError &&
      has_room(impl_->db->GetName()))
    return {errc::io_error, "there is room again, but the database goes on only when it is opened "
                            "anew (" +
                                s.ToString() + ")"};
  return to_status(s);
}

std::uint64_t database::sequence() const { return impl_->db->GetLatestSequenceNumber(); }

std::uint64_t database::disk_bytes() const {
  std::uint64_t total = 0;
  std::error_code failed;
  auto file = std::filesystem::directory_iterator(impl_->db->GetName(), failed);
  while (!failed && file != std::filesystem::directory_iterator()) {
    std::error_code gone; // a file may go while we look: it counts as nothing
    const auto size = file->file_size(gone);
    if (!gone)
      total += size;
    file.increment(failed);
  }
  return total;
}

} // namespace bitnetd::store
