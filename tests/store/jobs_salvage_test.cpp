// SPDX-License-Identifier: MIT
#include "store/jobs_salvage.h"
#include "tests/store/child_process.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t n_stored = 60;

std::string result_of(std::uint32_t n) { return R"({"text":"answer )" + std::to_string(n) + "\"}"; }

void fill(jobs_db& db, std::uint32_t from, std::uint32_t to) {
  for (std::uint32_t n = from; n <= to; ++n) {
    auto job = some_job(n);
    job.key = "key " + std::to_string(n);
    job.request += std::string(n * 40, 'x'); // some in blob files
    must(db.accept(std::array{job}));
    auto facts = db.begin();
    must(facts.set_running(job.id, job.created_us));
    must(facts.append_output(job.id, 0, std::array<std::uint32_t, 2>{n, n + 1}, "answer"));
    if (n % 3 != 0)
      must(facts.finish(job.id, job_state::done, job.created_us + 1000, result_of(n)));
    must(facts.commit(durability::synced));
  }
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& file : fs::directory_iterator(folder / "db"))
    if (file.is_regular_file() && file.file_size() > 0 && file.path().filename() != "LOCK")
      out.push_back(file.path());
  std::ranges::sort(out);
  return out;
}

fs::path manifest_of(const fs::path& folder) {
  const auto files = files_of(folder);
  const auto found = std::ranges::find_if(files, [](const fs::path& file) {
    return file.filename().string().starts_with("MANIFEST-");
  });
  REQUIRE(found != files.end());
  return *found;
}

void damage(const fs::path& file, std::mt19937_64& random) {
  const auto size = fs::file_size(file);
  const auto at = random() % size;
  switch (random() % 4) {
  case 0: // torn
    fs::resize_file(file, at);
    return;
  case 1:   // a sector of zeros
  case 2: { // a flipped bit, or several
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto n = random() % 4 == 0 ? std::min<std::uintmax_t>(512, size - at) : 1;
    for (std::uintmax_t i = 0; i < n; ++i) {
      stream.seekg(static_cast<std::streamoff>(at + i));
      const auto byte = static_cast<char>(n > 1 ? 0 : stream.get() ^ (1 << random() % 8));
      stream.seekp(static_cast<std::streamoff>(at + i));
      stream.put(byte);
    }
    return;
  }
  case 3: // gone
    fs::remove(file);
    return;
  }
}

/// What is there is right; what is not is told. Returns how many jobs are missing.
std::uint32_t check_jobs(const opened_journal& opened) {
  const auto& db = *opened.jobs;
  std::uint32_t missing = 0;
  const auto listed = [&](const job_id& id, const std::string& what) {
    return opened.salvaged && std::ranges::find(opened.salvaged->lost, lost_fact{id, what}) !=
                                  opened.salvaged->lost.end();
  };
  for (std::uint32_t n = 1; n <= n_stored; ++n) {
    const auto id = job_number(n);
    INFO("job " << n);
    const auto job = db.find(id);
    if (!job && job.why().code() == errc::corrupt)
      continue; // a damaged block of a table is told of where it is read
    if (!job) {
      REQUIRE(job.why().code() == errc::not_found);
      ++missing;
      continue;
    }
    CHECK(job->created_us == some_job(n).created_us);
    if (const auto request = db.request(id))
      CHECK((listed(id, "request") || request->starts_with(some_job(n).request)));
    else
      CHECK(request.why().code() == errc::corrupt);
    if (const auto result = db.result_json(id))
      CHECK(*result == result_of(n));
    else if (job->state == job_state::done && !listed(id, "result"))
      CHECK(result.why().code() == errc::corrupt);
    if (const auto text = db.output_text(id, 0, 100))
      CHECK((text->empty() || *text == "answer"));
    else
      CHECK(text.why().code() == errc::corrupt);
  }
  return missing;
}

/// A copy of a sound journal opens after `hurt` was done to it, right or with its losses told.
/// Returns how many jobs are missing.
std::uint32_t survives(const fs::path& sound,
                       const std::function<void(const fs::path& journal)>& hurt) {
  const scratch_folder folder; // what is moved aside stays in it
  const auto journal = folder.path() / "jobs";
  fs::copy(sound, journal, fs::copy_options::recursive);
  hurt(journal);
  const auto opened = open_or_salvage(journal);
  const auto missing = check_jobs(opened);
  if (const auto counted = opened.jobs->recount())
    CHECK(opened.jobs->totals() == *counted);
  else
    CHECK(counted.why().code() == errc::corrupt);
  // Nothing is missing in silence: named, counted, or seen by the witness.
  if (missing > 0) {
    const auto& report = opened.salvaged;
    const auto named = report ? std::ranges::count(report->lost, "job", &lost_fact::what) : 0;
    const auto unknown = report ? report->jobs_unknown : 0;
    const auto& loss = opened.jobs->loss_at_open();
    const auto witnessed = loss ? loss->accepted_before - loss->accepted_found : 0;
    CHECK(static_cast<std::uint64_t>(named) + unknown + witnessed >= missing);
    if (report) {
      CHECK(fs::exists(report->kept));
      CHECK(fs::exists(report->list));
    }
  }
  // It works on: a new job is taken, and the next open finds nothing new.
  must(opened.jobs->accept(std::array{some_job(n_stored + 1)}));
  return missing;
}

void try_seed(std::uint64_t seed, const fs::path& sound) {
  INFO("seed " << seed);
  survives(sound, [&](const fs::path& journal) {
    std::mt19937_64 random(seed);
    const auto files = files_of(journal);
    damage(files[random() % files.size()], random);
  });
}

/// $NAME, the long run's measure, or that of every test run.
std::uintmax_t measure(const char* name, std::uintmax_t usual) {
  const auto* wanted = std::getenv(name);
  return wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : usual;
}

void write_to(const fs::path& file, std::ios::openmode how, std::uintmax_t at,
              const std::string& bytes) {
  std::fstream stream(file, how | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(at));
  stream << bytes;
  REQUIRE(stream.flush());
}

/// The journal of a process that died: what it wrote last is in the log only.
void make_sound(const fs::path& folder) {
  child_process child("child: fills a journal and dies", folder);
  REQUIRE(child.wait() == 128 + SIGKILL);
}

} // namespace

TEST_CASE("child: fills a journal and dies", "[.child]") {
  {
    jobs_db db(child_folder());
    fill(db, 1, n_stored / 2);
  } // now in tables
  jobs_db db(child_folder());
  fill(db, n_stored / 2 + 1, n_stored); // in the log
  die();
}

TEST_CASE("child: fills a journal whose logs are dropped and dies", "[.child]") {
  jobs_options options;
  options.max_log_bytes = 16 << 10;
  jobs_db db(child_folder(), options);
  fill(db, 1, n_stored);
  die();
}

TEST_CASE("a sound journal is opened as it is", "[store][jobs][salvage]") {
  const scratch_folder folder;
  const auto journal = folder.path() / "jobs";
  make_sound(journal);
  const auto opened = open_or_salvage(journal);
  CHECK_FALSE(opened.salvaged);
  CHECK(check_jobs(opened) == 0);
}

TEST_CASE("a damaged journal is kept, saved as far as it reads, and its losses are listed",
          "[store][jobs][salvage]") {
  const scratch_folder sound;
  make_sound(sound.path());
  const auto n = measure("BITNETD_DAMAGE_SEEDS", 16); // the long run takes a thousand
  for (std::uint64_t seed = 1; seed <= n; ++seed)
    try_seed(seed, sound.path());
}

TEST_CASE("a journal without its CURRENT file is not taken for a new one",
          "[store][jobs][salvage]") {
  const scratch_folder folder;
  const auto journal = folder.path() / "jobs";
  make_sound(journal);
  fs::remove(journal / "db" / "CURRENT");
  const auto opened = open_or_salvage(journal);
  REQUIRE(opened.salvaged);
  CHECK(check_jobs(opened) == 0); // all of it still read
  CHECK(fs::exists(opened.salvaged->kept / "db"));
}

TEST_CASE("a log is cut anywhere, and a byte of it is flipped anywhere", "[store][jobs][salvage]") {
  const scratch_folder sound;
  make_sound(sound.path());
  const auto size = fs::file_size(write_ahead_log(sound.path() / "db"));
  const auto step = measure("BITNETD_DAMAGE_STEP", size / 8); // the long run takes small ones
  for (std::uintmax_t at = step; at < size; at += step) {
    INFO("cut at " << at << " of " << size);
    survives(sound.path(), [&](const fs::path& journal) {
      fs::resize_file(write_ahead_log(journal / "db"), at);
    });
  }
  for (std::uintmax_t at = 0; at < size; at += std::max<std::uintmax_t>(64, step)) {
    INFO("flipped at " << at << " of " << size);
    survives(sound.path(), [&](const fs::path& journal) {
      const auto log = write_ahead_log(journal / "db");
      std::ifstream stream(log, std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(at));
      const auto other = static_cast<char>(stream.get() ^ 0x10);
      write_to(log, std::ios::in, at, std::string(1, other));
    });
  }
}

TEST_CASE("a MANIFEST is cut anywhere, and a byte of it is flipped anywhere",
          "[store][jobs][salvage]") {
  const scratch_folder sound;
  {
    child_process child("child: fills a journal whose logs are dropped and dies", sound.path());
    REQUIRE(child.wait() == 128 + SIGKILL);
  }
  CHECK(survives(sound.path(), [](const fs::path&) {}) == 0);
  const auto size = fs::file_size(manifest_of(sound.path()));
  std::uint32_t most_missing = 0;
  const auto step = measure("BITNETD_DAMAGE_STEP", size / 6);
  for (std::uintmax_t at = step / 2; at < size; at += step) {
    INFO("at " << at << " of " << size);
    const auto cut = survives(
        sound.path(), [&](const fs::path& journal) { fs::resize_file(manifest_of(journal), at); });
    const auto flipped = survives(sound.path(), [&](const fs::path& journal) {
      const auto file = manifest_of(journal);
      std::ifstream stream(file, std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(at));
      const auto other = static_cast<char>(stream.get() ^ 0x10);
      write_to(file, std::ios::in, at, std::string(1, other));
    });
    most_missing = std::max({most_missing, cut, flipped});
  }
  CHECK(most_missing == 0); // the tables themselves are whole
  // Without the copy jobs may be lost, but not in silence; without CURRENT the copy is not needed.
  survives(sound.path(), [&](const fs::path& journal) {
    const auto file = manifest_of(journal);
    fs::resize_file(file, size / 2);
    REQUIRE(fs::remove(journal / file.filename()));
  });
  CHECK(survives(sound.path(), [&](const fs::path& journal) {
          REQUIRE(fs::remove(journal / manifest_of(journal).filename()));
          fs::remove(journal / "db" / "CURRENT");
        }) == 0);
}

TEST_CASE("zeros or garbage behind the log, an empty CURRENT, a second MANIFEST lose no job",
          "[store][jobs][salvage]") {
  const scratch_folder sound;
  make_sound(sound.path());
  CHECK(survives(sound.path(), [&](const fs::path& journal) {
          write_to(write_ahead_log(journal / "db"), std::ios::app, 0, std::string(4096, '\0'));
        }) == 0);
  CHECK(survives(sound.path(), [&](const fs::path& journal) {
          std::string garbage(4096, '\0');
          std::mt19937 random(1);
          std::ranges::generate(garbage, [&] { return static_cast<char>(random()); });
          write_to(write_ahead_log(journal / "db"), std::ios::app, 0, garbage);
        }) == 0);
  CHECK(survives(sound.path(), [&](const fs::path& journal) {
          fs::resize_file(journal / "db" / "CURRENT", 0);
        }) == 0);
  CHECK(survives(sound.path(), [&](const fs::path& journal) {
          for (const auto& file : files_of(journal))
            if (file.filename().string().starts_with("MANIFEST-")) {
              fs::copy_file(file, journal / "db" / "MANIFEST-999999");
              break;
            }
        }) == 0);
}
