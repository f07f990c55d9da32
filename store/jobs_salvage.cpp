// SPDX-License-Identifier: MIT
#include "store/jobs_salvage.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/database.h"
#include "store/jobs_columns.h"
#include "store/keys.h"
#include "store/records.h"
#include "store/witness.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace bitnetd::store {
namespace {

namespace fs = std::filesystem;

/// Every id that anything in the damaged database names.
class id_collector {
public:
  explicit id_collector(const database& from) : from_(from) {}

  std::set<job_id> run() {
    walk(jobs::records, [](cursor& row) { return key_reader(row.key()).id(); });
    walk(jobs::requests, [](cursor& row) { return key_reader(row.key()).id(); });
    walk(jobs::results, [](cursor& row) { return key_reader(row.key()).id(); });
    walk(jobs::output, [](cursor& row) { return key_reader(row.key()).id(); });
    walk(jobs::live, [](cursor& row) { return key_reader(row.key()).id(); });
    walk(jobs::children, [](cursor& row) { return key_reader(row.value()).id(); });
    walk(jobs::completed, [](cursor& row) { return key_reader(row.value()).id(); });
    walk(jobs::owners, [](cursor& row) {
      key_reader key(row.key());
      (void)key.text();
      return key.id();
    });
    walk(jobs::open, [](cursor& row) {
      key_reader key(row.key());
      (void)key.byte();
      (void)key.time();
      (void)key.text();
      return key.id();
    });
    walk(jobs::ended, [](cursor& row) {
      key_reader key(row.key());
      (void)key.time();
      return key.id();
    });
    ids_.erase(job_id{});
    return std::move(ids_);
  }

private:
  /// From both ends: a damaged block in the middle stops one of the ways.
  template <class Id> void walk(std::size_t column, Id id_of) {
    auto forwards = from_.rows(column);
    for (; forwards.valid(); forwards.next())
      ids_.insert(id_of(forwards));
    if (forwards.state())
      return;
    auto backwards = from_.rows(column);
    backwards.seek_at_or_before(std::string(512, '\xFF'));
    for (; backwards.valid(); backwards.previous())
      ids_.insert(id_of(backwards));
  }

  const database& from_;
  std::set<job_id> ids_;
};

/// Puts what reads of one database into a new journal.
class salvager {
public:
  salvager(const database& from, database& to, std::uint64_t accepted, salvage_report& report)
      : from_(from), to_(to), accepted_(accepted), report_(report) {}

  status run() {
    batch_.put(to_, jobs::sys, jobs::schema_key, std::to_string(journal_schema));
    const auto ids = id_collector(from_).run();
    std::vector<job_record> batches; // after their items, which they count
    for (const auto& id : ids) {
      auto record = read_record(id);
      if (!record)
        lose(id, "job");
      else if (record->is_batch)
        batches.push_back(std::move(*record));
      else
        save(std::move(*record));
      if (batch_.size() >= rows_at_once)
        if (auto written = write(false); !written)
          return written;
    }
    for (auto& batch : batches) {
      if (!is_terminal(batch.state) && n_items_[batch.id] < batch.items)
        end_for_loss(batch, "items of it were lost when the journal was damaged");
      save(std::move(batch));
    }
    save_completions();
    save_keys();
    report_.jobs_saved = totals_.jobs;
    report_.jobs_unknown = count_unknown(ids.size());
    totals_.accepted = std::max(accepted_, totals_.jobs);
    batch_.put(to_, jobs::sys, jobs::totals_key, encode_totals(jobs::totals_key, totals_));
    return write(true);
  }

private:
  static constexpr std::size_t rows_at_once = 5'000;

  std::optional<job_record> read_record(const job_id& id) const {
    const auto key = jobs::job_key(id);
    const auto stored = from_.get(jobs::records, key);
    if (!stored)
      return std::nullopt;
    auto out = decode_job(key, *stored);
    return out && out->id == id ? std::optional(std::move(*out)) : std::nullopt;
  }

  /// A request or result, checked; empty when it does not read.
  std::string read_blob(std::size_t column, const job_id& id) const {
    const auto key = jobs::job_key(id);
    const auto stored = from_.get(column, key);
    return stored && decode_blob(key, *stored) ? *stored : std::string{};
  }

  void save(job_record job) {
    const auto key = jobs::job_key(job.id);
    // The order of completion, and what is open, is made anew from the records.
    if (const auto request = read_blob(jobs::requests, job.id); !request.empty()) {
      put(jobs::requests, key, request);
    } else if (job.request_bytes > 0 || !is_terminal(job.state)) {
      lose(job.id, "request");
      job.request_bytes = 0;
      put(jobs::requests, key, encode_blob(key, {}));
      if (!is_terminal(job.state) && !job.parent && !job.is_batch)
        end_for_loss(job, "its request was lost when the journal was damaged");
    } else {
      put(jobs::requests, key, encode_blob(key, {}));
    }
    const auto result = job.result_bytes > 0 ? read_blob(jobs::results, job.id) : std::string{};
    if (!result.empty())
      put(jobs::results, key, result);
    else if (std::exchange(job.result_bytes, 0) > 0)
      lose(job.id, "result");
    save_output(job);
    put(jobs::records, key, encode_job(key, job));
    save_places(job);
    ++totals_.jobs;
  }

  static void end_for_loss(job_record& job, std::string why) {
    job.state = job_state::failed;
    job.ended_us = to_wall_us(system_clock{}.wall());
    job.error = std::move(why);
  }

  /// Jobs that were there, by the old totals and what the witness saw since, and have left no name.
  std::uint64_t count_unknown(std::uint64_t named) const {
    const auto stored = from_.get(jobs::sys, jobs::totals_key);
    const auto old = stored ? decode_totals(jobs::totals_key, *stored) : stored.why();
    if (!old)
      return accepted_ > named ? accepted_ - named : 0;
    const auto expected = old->jobs + (accepted_ > old->accepted ? accepted_ - old->accepted : 0);
    return expected > named ? expected - named : 0;
  }

  void save_output(const job_record& job) {
    const auto prefix = jobs::job_key(job.id);
    std::uint64_t tokens = 0, bytes = 0;
    auto row = from_.rows(jobs::output, prefix, prefix_end(prefix));
    for (; row.valid(); row.next()) {
      const auto piece = decode_output(row.key(), row.value());
      // What follows a gap continues nothing: the job draws it again.
      if (!piece || piece->first_token != tokens || piece->offset != bytes)
        return lose(job.id, "output");
      tokens += piece->tokens.size();
      bytes += piece->text.size();
      put(jobs::output, std::string(row.key()), row.value());
    }
    if (!row.state() || (is_terminal(job.state) && tokens < job.output_tokens))
      lose(job.id, "output");
  }

  void save_places(const job_record& job) {
    const auto key = jobs::job_key(job.id);
    if (job.parent) {
      put(jobs::children, jobs::child_key(*job.parent, job.index), key);
      ++n_items_[*job.parent];
      if (is_terminal(job.state))
        completions_[*job.parent].emplace_back(job.ended_us, job.index, job.id, job.state);
    } else {
      put(jobs::owners, jobs::owner_key(job.principal, job.id), {});
      put(jobs::owners, jobs::owner_key({}, job.id), {});
    }
    if (!is_terminal(job.state)) {
      ++totals_.open;
      if (job.is_batch)
        return put(jobs::live, key, jobs::live_batch);
      const open_job order{job.id, job.cls, job.deadline_us, job.not_before_us, job.principal};
      put(jobs::open, jobs::open_key(order), jobs::open_value(order));
      if (job.state == job_state::running)
        put(jobs::live, key, jobs::live_running);
      if (job.not_before_us > 0)
        put(jobs::waking, jobs::waking_key(job.not_before_us, job.id), jobs::open_key(order));
      return;
    }
    if (job.state == job_state::dead)
      put(jobs::dead, jobs::dead_key(job.ended_us, job.id), {});
    if (job.parent)
      return;
    put(jobs::ended, jobs::ended_key(job.ended_us, job.id), {});
    put(jobs::expiry, jobs::expiry_key(job.ended_us + job.retention_us, jobs::expiring::job, key),
        {});
  }

  void save_completions() {
    for (auto& [parent, items] : completions_) {
      std::sort(items.begin(), items.end());
      std::uint32_t number = 0;
      for (const auto& [ended_us, index, child, state] : items)
        put(jobs::completed, jobs::completed_key(parent, number++),
            jobs::completed_value(child, index, state));
    }
  }

  void save_keys() {
    auto row = from_.rows(jobs::keys);
    for (; row.valid(); row.next()) {
      const auto entry = decode_key_entry(row.key(), row.value());
      if (!entry) {
        lose({}, "key");
        continue;
      }
      put(jobs::keys, std::string(row.key()), row.value());
      if (entry->until_us != 0)
        put(jobs::expiry, jobs::expiry_key(entry->until_us, jobs::expiring::key, row.key()), {});
    }
    if (!row.state())
      lose({}, "key");
  }

  void put(std::size_t column, const std::string& key, std::string_view value) {
    batch_.put(to_, column, key, value);
    totals_.bytes += key.size() + value.size();
  }

  void lose(const job_id& id, std::string what) { report_.lost.push_back({id, std::move(what)}); }

  status write(bool sync) {
    auto done = to_.write(batch_, sync);
    batch_.clear();
    return done;
  }

  const database& from_;
  database& to_;
  std::uint64_t accepted_; ///< jobs ever, as the witness saw them synced
  salvage_report& report_;
  write_batch batch_;
  job_totals totals_;
  using ended_item = std::tuple<std::int64_t, std::uint32_t, job_id, job_state>;
  std::map<job_id, std::vector<ended_item>> completions_;
  std::map<job_id, std::uint32_t> n_items_;
};

std::unique_ptr<database> open_damaged(const fs::path& copy, const fs::path& directory,
                                       const manifest_mark& seen) {
  database_options options{std::make_shared<const resources>(), 64ull << 20, true};
  try {
    if (restore_manifest(copy, directory, seen)) // else it would be taken up as it was earlier
      return std::make_unique<database>(copy, jobs::columns, options);
  } catch (const open_error& error) {
    if (error.code() != errc::corrupt && error.code() != errc::io_error)
      throw;
  }
  if (auto repaired = database::repair(copy, jobs::columns); !repaired) {
    log::error("jobs: the damaged journal cannot be repaired: {}", repaired.text());
    return nullptr;
  }
  try {
    return std::make_unique<database>(copy, jobs::columns, options);
  } catch (const open_error& error) {
    log::error("jobs: nothing of the damaged journal reads: {}", error.what());
    return nullptr;
  }
}

void write_list(const salvage_report& report) {
  std::ofstream out(report.list);
  out << "# " << report.why << "\n# saved: " << report.jobs_saved
      << " jobs; lost without a name: " << report.jobs_unknown << " jobs\n";
  for (const auto& one : report.lost)
    out << one.what << ' ' << (one.job == job_id{} ? "-" : one.job.text()) << '\n';
}

/// The damaged journal is moved aside, and a new one with what reads of it takes its place.
salvage_report salvage(const fs::path& directory, const std::string& why) {
  const auto stamp = std::to_string(to_wall_us(system_clock{}.wall()) / 1'000'000);
  auto beside = [&](const std::string& what) {
    auto name = directory.filename().string() + "." + what;
    return directory.parent_path() / name;
  };
  salvage_report report;
  report.why = why;
  report.kept = beside("damaged-" + stamp);
  report.list = beside("damaged-" + stamp + ".lost");
  const auto work = beside("salvage"), fresh = beside("salvage-new");
  fs::remove_all(work);
  fs::remove_all(fresh);
  std::error_code failed;
  fs::copy(directory / "db", work, fs::copy_options::recursive, failed);
  if (failed)
    throw open_error(failed == std::errc::no_space_on_device ? errc::no_space : errc::io_error,
                     directory.string() + ": the journal is damaged (" + why +
                         ") and cannot be copied: " + failed.message());
  const witness seen(directory / "witness", std::chrono::milliseconds{0});
  const auto accepted_before = seen.last().accepted;
  fs::create_directories(fresh);
  {
    const auto from = open_damaged(work, directory, seen.manifest());
    database to(fresh / "db", jobs::columns, {std::make_shared<const resources>(), 64ull << 20});
    if (!from)
      report.jobs_unknown = accepted_before; // at most: some had been removed
    else if (auto saved = salvager(*from, to, accepted_before, report).run(); !saved)
      throw open_error(saved.code(), fresh.string() + ": cannot be written: " + saved.text());
    if (auto flushed = to.flush(); !flushed)
      throw open_error(flushed.code(), fresh.string() + ": cannot be written: " + flushed.text());
  }
  write_list(report);
  fs::rename(directory, report.kept);
  fs::rename(fresh, directory);
  fs::remove_all(work, failed);
  return report;
}

} // namespace

opened_journal open_or_salvage(const fs::path& directory, const jobs_options& options) {
  opened_journal out;
  try {
    out.jobs = std::make_unique<jobs_db>(directory, options);
    return out;
  } catch (const open_error& error) {
    if (error.code() != errc::corrupt)
      throw;
    // What looks damaged before RocksDB's lock is asked for may be somebody's who works with it.
    database::check_unlocked(directory / "db");
    log::error("jobs: {}", error.what());
    out.salvaged = salvage(directory, error.what());
  }
  out.jobs = std::make_unique<jobs_db>(directory, options);
  const auto& report = *out.salvaged;
  log::error("jobs: {} jobs were saved from the damaged journal, {} facts are lost; it is kept as "
             "{}, the losses are listed in {}",
             report.jobs_saved, report.lost.size(), report.kept.string(), report.list.string());
  return out;
}

} // namespace bitnetd::store
