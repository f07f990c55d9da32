// SPDX-License-Identifier: MIT
#include "store/jobs_db.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/jobs_impl.h"
#include "store/jobs_migration.h"
#include "store/keys.h"
#include "store/records.h"

#include <algorithm>

namespace bitnetd::store {
namespace {

constexpr std::string_view how_to_mend =
    "; nothing was changed: copy the directory aside before anything else";

std::string damaged(const std::filesystem::path& directory, const status& why) {
  return directory.string() + ": the job journal cannot be read (" + why.text() + ")" +
         std::string(how_to_mend);
}

std::unique_ptr<database> open_rows(const std::filesystem::path& directory,
                                    const database_options& options) {
  try {
    return std::make_unique<database>(directory / "db", jobs::columns, options);
  } catch (const open_error& error) {
    if (error.code() == errc::corrupt)
      throw open_error(errc::corrupt, error.what() + std::string(how_to_mend));
    throw;
  }
}

/// Refuses what a newer version wrote, marks what is new, brings up to date what is older. True
/// when it was older: the schema is written with the new totals.
bool check_schema(database& rows, const std::filesystem::path& directory) {
  const auto stored = rows.get(jobs::sys, jobs::schema_key);
  const auto known = std::to_string(journal_schema);
  if (stored && *stored == known)
    return false;
  if (stored && *stored == "1") {
    log::info("jobs: {}: bringing the journal from schema 1 to {}", directory.string(), known);
    if (auto moved = migrate_journal_1_to_2(rows); !moved)
      throw open_error(moved.code(), damaged(directory, moved));
    return true;
  }
  if (stored)
    throw open_error(errc::newer_schema, directory.string() + ": the job journal has schema " +
                                             *stored + ", this program knows up to " + known +
                                             "; start the newer version of bitnetd");
  if (stored.why().code() != errc::not_found)
    throw open_error(stored.why().code(), damaged(directory, stored.why()));
  write_batch batch;
  batch.put(rows, jobs::sys, jobs::schema_key, known);
  if (auto written = rows.write(batch, true); !written)
    throw open_error(written.code(),
                     directory.string() + ": cannot write to the job journal: " + written.text());
  return false;
}

job_totals load_totals(const database& rows, const std::filesystem::path& directory) {
  const auto stored = rows.get(jobs::sys, jobs::totals_key);
  if (!stored && stored.why().code() == errc::not_found)
    return {};
  const auto totals = stored ? decode_totals(jobs::totals_key, *stored) : stored.why();
  if (!totals)
    throw open_error(totals.why().code(), damaged(directory, totals.why()));
  return *totals;
}

/// Compares the journal with what the witness saw; writes a loss down, so that it is never silent.
std::optional<journal_loss> find_loss(database& rows, const witnessed& seen, std::uint64_t sequence,
                                      std::uint64_t accepted,
                                      const std::filesystem::path& directory) {
  if (sequence >= seen.sequence)
    return std::nullopt;
  const journal_loss loss{to_wall_us(system_clock{}.wall()), seen.accepted, accepted,
                          seen.sequence - sequence};
  log::error(
      "jobs: {}: the journal ends {} rows before its last sync: {} accepted jobs are missing",
      directory.string(), loss.lost_writes, loss.accepted_before - loss.accepted_found);
  const auto key = jobs::loss_key(loss.found_us);
  write_batch batch;
  batch.put(rows, jobs::sys, key, encode_loss(key, loss));
  if (auto written = rows.write(batch, true); !written)
    throw open_error(written.code(),
                     directory.string() + ": cannot write to the job journal: " + written.text());
  return loss;
}

} // namespace

// ---- open and close

jobs_db::jobs_db(const std::filesystem::path& directory, const jobs_options& options)
    : impl_(std::make_unique<impl>()) {
  auto& self = *impl_;
  self.options = options;
  self.directory = directory;
  if (!self.options.shared)
    self.options.shared = std::make_shared<const resources>();
  self.seen = std::make_unique<witness>(directory / "witness", options.witness_sync);
  const auto before = self.seen->last();
  if (!manifest_holds(directory / "db", self.seen->manifest()))
    throw open_error(errc::corrupt, directory.string() +
                                        ": the database is damaged: its MANIFEST is not as it was "
                                        "synced" +
                                        std::string(how_to_mend));
  self.rows = open_rows(directory, {self.options.shared, options.max_log_bytes, false,
                                    [&self] { self.watch_files(); }});
  const auto sequence = self.rows->sequence(); // before anything is written
  const bool migrated = check_schema(*self.rows, directory);
  self.totals = load_totals(*self.rows, directory);
  const auto last = self.last_id();
  if (!last)
    throw open_error(last.why().code(), damaged(directory, last.why()));
  self.newest = *last;
  if (migrated)
    finish_migration(directory);
  self.loss = find_loss(*self.rows, before, sequence, self.totals.accepted, directory);
  self.watch_files(); // opening began a new MANIFEST
  // Opening wrote everything it replayed into tables. Twice: both slots have their block now.
  for (int slot = 0; slot < 2; ++slot)
    if (auto told = self.seen->update_and_sync({self.rows->sequence(), self.totals.accepted});
        !told)
      throw open_error(told.code(), directory.string() + ": " + told.text());
}

void jobs_db::finish_migration(const std::filesystem::path& directory) {
  const auto counted = recount();
  if (!counted)
    throw open_error(counted.why().code(), damaged(directory, counted.why()));
  impl_->totals = *counted;
  write_batch batch;
  batch.put(*impl_->rows, jobs::sys, jobs::totals_key, encode_totals(jobs::totals_key, *counted));
  batch.put(*impl_->rows, jobs::sys, jobs::schema_key, std::to_string(journal_schema));
  if (auto written = impl_->rows->write(batch, true); !written)
    throw open_error(written.code(),
                     directory.string() + ": cannot write to the job journal: " + written.text());
}

jobs_db::~jobs_db() {
  // Everything is in the log already; the flush makes the next open fast, and synced.
  if (impl_ && impl_->rows && impl_->rows->flush().ok())
    impl_->watch();
}

void jobs_db::impl::watch() {
  // The journal is synced whatever becomes of the witness: a failure makes a later loss of the
  // log's end harder to see, no more.
  if (auto told = seen->update({rows->sequence(), totals.accepted}); !told)
    log::warn("jobs: {}", told.text());
}

void jobs_db::impl::watch_files() {
  const std::lock_guard lock(files_mutex);
  const auto now = copy_manifest(directory / "db", directory, seen->manifest());
  if (auto told = now ? seen->update_manifest(*now) : now.why(); !told)
    log::warn("jobs: {}", told.text()); // as above: the files are synced
}

jobs_batch jobs_db::begin() { return jobs_batch(*this); }

status jobs_db::accept(std::span<const job_record> jobs) {
  auto batch = begin();
  for (const auto& job : jobs)
    if (auto taken = batch.accept(job); !taken)
      return taken;
  return batch.commit(durability::synced);
}

status jobs_db::sync() {
  auto done = impl_->rows->sync();
  if (done)
    impl_->watch();
  return done;
}

status jobs_db::resume() { return impl_->rows->resume(); }

// ---- reads of one job

result<job_record> jobs_db::impl::find(const job_id& job) const {
  const auto key = jobs::job_key(job);
  const auto stored = rows->get(jobs::records, key);
  if (!stored)
    return stored.why();
  return decode_job(key, *stored);
}

result<key_entry> jobs_db::impl::find_key(const std::string& row, std::int64_t now_us) const {
  const auto stored = rows->get(jobs::keys, row);
  if (!stored)
    return stored.why();
  auto entry = decode_key_entry(row, *stored);
  if (entry && entry->until_us != 0 && entry->until_us <= now_us)
    return status(errc::not_found, "the key was bound until a while ago");
  return entry;
}

result<output_position> jobs_db::impl::position(const job_id& job) const {
  const auto prefix = jobs::job_key(job);
  auto row = rows->rows(jobs::output, prefix, prefix_end(prefix));
  row.seek_at_or_before(jobs::output_key(job, UINT64_MAX, UINT64_MAX));
  if (!row.valid()) {
    if (auto ended = row.state(); !ended)
      return ended;
    return output_position{};
  }
  const auto last = decode_output(row.key(), row.value());
  if (!last)
    return last.why();
  return output_position{last->first_token + last->tokens.size(), last->offset + last->text.size()};
}

result<std::uint32_t> jobs_db::impl::next_completed(const job_id& parent) const {
  const auto prefix = jobs::job_key(parent);
  auto row = rows->rows(jobs::completed, prefix, prefix_end(prefix));
  row.seek_at_or_before(jobs::completed_key(parent, UINT32_MAX));
  if (!row.valid()) {
    if (auto ended = row.state(); !ended)
      return ended;
    return std::uint32_t{0};
  }
  const auto last = jobs::read_completed(row.key(), row.value());
  return last ? result<std::uint32_t>(last->number + 1) : last.why();
}

result<job_record> jobs_db::find(const job_id& job) const { return impl_->find(job); }

result<std::string> jobs_db::request(const job_id& job) const {
  const auto key = jobs::job_key(job);
  const auto stored = impl_->rows->get(jobs::requests, key);
  return stored ? decode_blob(key, *stored) : stored.why();
}

result<std::string> jobs_db::result_json(const job_id& job) const {
  const auto key = jobs::job_key(job);
  const auto stored = impl_->rows->get(jobs::results, key);
  return stored ? decode_blob(key, *stored) : stored.why();
}

result<key_entry> jobs_db::find_by_key(std::string_view principal, std::string_view key,
                                       std::int64_t now_us) const {
  return impl_->find_key(jobs::idempotency_key(principal, key), now_us);
}

result<output_position> jobs_db::position(const job_id& job) const { return impl_->position(job); }

result<std::vector<output_row>> jobs_db::output(const job_id& job, std::uint64_t from_token) const {
  const auto prefix = jobs::job_key(job);
  auto row = impl_->rows->rows(jobs::output, prefix, prefix_end(prefix));
  row.seek_at_or_before(jobs::output_key(job, from_token, UINT64_MAX));
  if (!row.valid())
    row.seek(prefix);
  std::vector<output_row> out;
  for (; row.valid(); row.next()) {
    auto one = decode_output(row.key(), row.value());
    if (!one)
      return one.why();
    if (one->first_token + one->tokens.size() > from_token || one->first_token >= from_token)
      out.push_back(std::move(*one));
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<output_piece> jobs_db::output_piece_at(const job_id& job, std::uint64_t offset,
                                              std::size_t max_bytes) const {
  const auto prefix = jobs::job_key(job);
  auto row = impl_->rows->rows(jobs::output, prefix, prefix_end(prefix));
  // From the end backwards: who reads is mostly near the end, and rows are found by token.
  row.seek_at_or_before(jobs::output_key(job, UINT64_MAX, UINT64_MAX));
  while (row.valid()) {
    const auto one = decode_output(row.key(), row.value());
    if (!one)
      return one.why();
    if (one->offset <= offset && (one->offset < offset || one->first_token == 0))
      break;
    row.previous();
  }
  if (!row.valid() && row.state())
    row.seek(prefix);
  output_piece out;
  for (; row.valid() && out.text.size() < max_bytes; row.next()) {
    const auto one = decode_output(row.key(), row.value());
    if (!one)
      return one.why();
    const auto end = offset + out.text.size();
    if (one->offset >= end)
      out.n_tokens += static_cast<std::uint32_t>(one->tokens.size());
    const auto skip = end - std::min(end, one->offset);
    if (skip < one->text.size())
      out.text.append(one->text, skip, max_bytes - out.text.size());
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

result<std::string> jobs_db::output_text(const job_id& job, std::uint64_t offset,
                                         std::size_t max_bytes) const {
  auto piece = output_piece_at(job, offset, max_bytes);
  return piece ? result<std::string>(std::move(piece->text)) : piece.why();
}

// ---- the whole

job_totals jobs_db::totals() const {
  const std::lock_guard lock(impl_->totals_mutex);
  return impl_->totals;
}

result<job_totals> jobs_db::recount() const {
  job_totals counted;
  counted.accepted = totals().accepted; // history: not to be counted
  for (std::size_t column = jobs::records; column < jobs::columns.size(); ++column) {
    auto row = impl_->rows->rows(column);
    for (; row.valid(); row.next()) {
      counted.bytes += row.key().size() + row.value().size();
      counted.jobs += column == jobs::records ? 1u : 0u;
      counted.open +=
          column == jobs::open || (column == jobs::live && row.value() == jobs::live_batch) ? 1u
                                                                                            : 0u;
    }
    if (auto ended = row.state(); !ended)
      return ended;
  }
  return counted;
}

std::optional<disk_room> jobs_db::room() const { return room_on_disk(impl_->directory); }

std::uint64_t jobs_db::disk_bytes() const { return impl_->rows->disk_bytes(); }

result<std::vector<journal_loss>> jobs_db::losses() const {
  std::vector<journal_loss> out;
  auto row = impl_->rows->rows(jobs::sys, jobs::loss_prefix, prefix_end(jobs::loss_prefix));
  for (; row.valid(); row.next()) {
    const auto loss = decode_loss(row.key(), row.value());
    if (!loss)
      return loss.why();
    out.push_back(*loss);
  }
  if (auto ended = row.state(); !ended)
    return ended;
  return out;
}

const std::optional<journal_loss>& jobs_db::loss_at_open() const noexcept { return impl_->loss; }

} // namespace bitnetd::store
