// SPDX-License-Identifier: MIT
#include "store/byte_io.h"
#include "store/crc32c.h"
#include "store/jobs_db.h"
#include "tests/store/child_process.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t n_jobs = 20;

/// A journal whose owner died: n_jobs accepted one by one, each synced.
void make_crashed_journal(const fs::path& folder) {
  child_process child("child: accepts jobs and dies", folder);
  REQUIRE(child.wait() == 128 + SIGKILL);
}

fs::path log_of(const fs::path& folder) { return write_ahead_log(folder / "db"); }

void flip_byte(const fs::path& file, std::uintmax_t at) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(at));
  const auto byte = static_cast<char>(stream.get() ^ 0x10);
  stream.seekp(static_cast<std::streamoff>(at));
  stream.put(byte);
}

std::uint32_t count_readable(const jobs_db& db) {
  std::uint32_t found = 0;
  for (std::uint32_t n = 1; n <= n_jobs; ++n)
    if (db.find(job_number(n)))
      ++found;
  return found;
}

} // namespace

TEST_CASE("child: accepts jobs and dies", "[.child]") {
  jobs_db db(child_folder());
  for (std::uint32_t n = 1; n <= n_jobs; ++n)
    must(db.accept(std::array{some_job(n)}));
  die();
}

TEST_CASE("child: accepts groups of jobs until it is killed", "[.child]") {
  jobs_db db(child_folder());
  std::mt19937 random(std::random_device{}());
  auto next = static_cast<std::uint32_t>(db.totals().accepted) + 1;
  while (true) {
    auto batch = db.begin();
    const auto first = next;
    const auto last = first + random() % 8;
    for (; next <= last; ++next)
      must(batch.accept(some_job(next)));
    must(batch.append_output(job_number(first), 0, std::array<std::uint32_t, 2>{first, first},
                             "some output"));
    must(batch.commit(durability::synced));
    for (auto n = first; n < next; ++n)
      report(n); // acknowledged
  }
}

TEST_CASE("every acknowledged job survives kill -9 at any moment", "[store][jobs][crash]") {
  const scratch_folder folder;
  std::mt19937 random(11);
  std::uint64_t acknowledged = 0;
  for (int round = 0; round < 8; ++round) {
    {
      child_process child("child: accepts groups of jobs until it is killed", folder.path());
      std::uint64_t first = 0;
      REQUIRE(child.next_report(first)); // it runs
      acknowledged = std::max(acknowledged, first);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
      for (const auto n : child.kill())
        acknowledged = std::max(acknowledged, n);
    }
    const jobs_db db(folder.path());
    CHECK_FALSE(db.loss_at_open());
    // What was stored and not acknowledged may be there too: the numbers have no gap either way.
    REQUIRE(db.totals().accepted >= acknowledged);
    for (std::uint32_t n = 1; n <= db.totals().accepted; ++n) {
      INFO("job " << n << " of " << acknowledged << " acknowledged");
      REQUIRE(must(db.find(job_number(n))).created_us == some_job(n).created_us);
      REQUIRE(must(db.request(job_number(n))) == some_job(n).request);
    }
    REQUIRE(db.totals() == must(db.recount()));
  }
  CHECK(acknowledged > 8);
}

TEST_CASE("child: writes output that is not synced and dies", "[.child]") {
  jobs_db db(child_folder());
  must(db.accept(std::array{some_job(1)}));
  auto batch = db.begin();
  must(batch.append_output(job_number(1), 0, std::array<std::uint32_t, 1>{5}, "written"));
  must(batch.commit(durability::written));
  die();
}

TEST_CASE("written output survives kill -9 without a sync", "[store][jobs][crash]") {
  const scratch_folder folder;
  child_process child("child: writes output that is not synced and dies", folder.path());
  REQUIRE(child.wait() == 128 + SIGKILL);
  SECTION("as it was written") {
    const jobs_db db(folder.path());
    CHECK(must(db.output_text(job_number(1), 0, 100)) == "written");
  }
  SECTION("and if power loss tears it off, that is no loss of what was synced") {
    fs::resize_file(log_of(folder.path()), fs::file_size(log_of(folder.path())) - 1);
    const jobs_db db(folder.path());
    CHECK(must(db.position(job_number(1))) == output_position{});
    CHECK(must(db.find(job_number(1))).principal == "ann");
    CHECK_FALSE(db.loss_at_open());
  }
}

TEST_CASE("a torn end of the log is cut off, and what is missing is told", "[store][jobs][crash]") {
  const scratch_folder folder;
  make_crashed_journal(folder.path() / "whole");
  const auto whole_size = fs::file_size(log_of(folder.path() / "whole"));
  // From one byte to several jobs.
  for (const std::uintmax_t cut : {std::uintmax_t{1}, std::uintmax_t{137}, whole_size / 3}) {
    INFO(cut << " of " << whole_size << " bytes cut");
    const auto copy = folder.path() / std::to_string(cut);
    fs::copy(folder.path() / "whole", copy, fs::copy_options::recursive);
    fs::resize_file(log_of(copy), whole_size - cut);
    {
      jobs_db db(copy);
      const auto found = count_readable(db);
      CHECK(found < n_jobs);
      CHECK((cut > 500 || found == n_jobs - 1));
      REQUIRE(db.loss_at_open());
      CHECK(db.loss_at_open()->accepted_before == n_jobs);
      CHECK(db.loss_at_open()->accepted_found == found);
      CHECK(db.loss_at_open()->lost_writes > 0);
      CHECK(db.totals() == must(db.recount()));
      must(db.accept(std::array{some_job(100)})); // it works on
    }
    jobs_db db(copy); // the loss is told once and stays written down
    CHECK_FALSE(db.loss_at_open());
    REQUIRE(must(db.losses()).size() == 1);
    CHECK(must(db.losses()).front().accepted_before == n_jobs);
  }
}

TEST_CASE("a log that is missing as a whole is told", "[store][jobs][crash]") {
  const scratch_folder folder;
  make_crashed_journal(folder.path());
  fs::remove(log_of(folder.path()));
  try {
    const jobs_db db(folder.path());
    REQUIRE(db.loss_at_open());
    CHECK(db.loss_at_open()->accepted_before == n_jobs);
    CHECK(db.loss_at_open()->accepted_found == 0);
  } catch (const open_error& error) {
    CHECK(error.code() == errc::corrupt);
  }
}

TEST_CASE("one flipped byte in the log is never a silently shorter journal",
          "[store][jobs][crash]") {
  const scratch_folder folder;
  make_crashed_journal(folder.path() / "whole");
  const auto size = fs::file_size(log_of(folder.path() / "whole"));
  int damaged = 0;
  for (std::uintmax_t at = 20; at < size; at += size / 24) {
    INFO("byte " << at << " of " << size);
    const auto copy = folder.path() / "copy";
    fs::remove_all(copy);
    fs::copy(folder.path() / "whole", copy, fs::copy_options::recursive);
    const auto log = log_of(copy);
    flip_byte(log, at);
    try {
      const jobs_db db(copy);
      const auto found = count_readable(db);
      CHECK((found == n_jobs || db.loss_at_open().has_value()));
    } catch (const open_error& error) {
      CHECK(error.code() == errc::corrupt);
      CHECK_THAT(error.what(), Catch::Contains("damaged") && Catch::Contains(copy.string()));
      ++damaged;
      // Nothing was changed: with the byte turned back, everything is there.
      REQUIRE(fs::file_size(log) == size);
      flip_byte(log, at);
      const jobs_db db(copy);
      REQUIRE(count_readable(db) == n_jobs);
      REQUIRE_FALSE(db.loss_at_open());
    }
  }
  CHECK(damaged > 12); // all but the end of the log
}

TEST_CASE("the witness is believed only where its checksum is right", "[store][jobs][crash]") {
  const scratch_folder folder;
  make_crashed_journal(folder.path());
  const auto log = log_of(folder.path());
  const auto witness = folder.path() / "witness";
  SECTION("both slots spoilt: no false alarm") {
    flip_byte(witness, 20);
    flip_byte(witness, 4096 + 20);
    const jobs_db db(folder.path());
    CHECK_FALSE(db.loss_at_open());
    CHECK(count_readable(db) == n_jobs);
  }
  SECTION("one slot spoilt: the other still tells of a loss of several jobs") {
    flip_byte(witness, 20);
    fs::resize_file(log, fs::file_size(log) / 2);
    const jobs_db db(folder.path());
    REQUIRE(db.loss_at_open());
    CHECK(db.loss_at_open()->accepted_before >= n_jobs - 1);
  }
  SECTION("the file is gone: opened, and there is a new one") {
    fs::remove(witness);
    const jobs_db db(folder.path());
    CHECK(count_readable(db) == n_jobs);
    CHECK(fs::file_size(witness) == 4096 + 64);
  }
}

TEST_CASE("a witness written before it knew the MANIFEST is believed", "[store][jobs][crash]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    must(db.accept(std::array{some_job(1)}));
  }
  std::string slot = "BNWITNES";
  byte_writer(slot)
      .number(std::uint32_t{1})
      .number(std::uint64_t{1'000'000})  // generation
      .number(std::uint64_t{50'000'000}) // rows: far more than there are
      .number(std::uint64_t{7});         // jobs
  slot.resize(60, '\0');
  byte_writer(slot).number(crc32c(slot));
  std::ofstream(folder.path() / "witness", std::ios::binary) << slot;
  const jobs_db db(folder.path());
  REQUIRE(db.loss_at_open());
  CHECK(db.loss_at_open()->accepted_before == 7);
  CHECK(db.loss_at_open()->accepted_found == 1);
}

TEST_CASE("a database older than its witness is told", "[store][jobs][crash]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    must(db.accept(std::array{some_job(1)}));
  }
  fs::copy(folder.path() / "db", folder.path() / "backup", fs::copy_options::recursive);
  {
    jobs_db db(folder.path());
    must(db.accept(std::array{some_job(2), some_job(3)}));
  }
  fs::remove_all(folder.path() / "db");
  fs::rename(folder.path() / "backup", folder.path() / "db");
  const jobs_db db(folder.path());
  REQUIRE(db.loss_at_open());
  CHECK(db.loss_at_open()->accepted_before == 3);
  CHECK(db.loss_at_open()->accepted_found == 1);
}

TEST_CASE("damage in a table is told where it is read", "[store][jobs][crash]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    auto job = some_job(1);
    job.request = std::string(400, 'x'); // stays in the table, not in a blob file
    must(db.accept(std::array{job}));
  }
  int flipped = 0;
  for (const auto& file : fs::directory_iterator(folder.path() / "db"))
    if (file.path().extension() == ".sst") {
      flip_byte(file.path(), 10);
      ++flipped;
    }
  REQUIRE(flipped > 0);
  try {
    const jobs_db db(folder.path());
    CHECK(db.find(job_number(1)).why().code() == errc::corrupt);
  } catch (const open_error& error) {
    CHECK(error.code() == errc::corrupt);
  }
}
