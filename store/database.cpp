// SPDX-License-Identifier: MIT
#include "store/database.h"

#include "store/database_settings.h"
#include "store/file_handle.h"
#include "store/scrubber.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <system_error>
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
    made = file_handle(name, O_WRONLY | O_CREAT | O_TRUNC).write(0, block);
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
  std::optional<scrubber> erased;
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
  impl_->erased.emplace(*impl_->db, impl_->columns);
  // Compaction gives way to the threads that compute and answer.
  settings.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW);
}

database::~database() {
  if (!impl_->db)
    return;
  impl_->erased.reset();
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

status database::erase_for_good(write_batch& batch) {
  if (auto written = write(batch, /*sync=*/true); !written)
    return written;
  impl_->erased->follow(batch.impl_->rows);
  return {};
}

status database::sync() { return to_status(impl_->db->FlushWAL(true)); }

status database::flush() {
  return to_status(impl_->db->Flush(rocksdb::FlushOptions{}, impl_->columns));
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
