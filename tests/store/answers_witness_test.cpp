// SPDX-License-Identifier: MIT
#include "store/answers_db.h"
#include "tests/store/child_process.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>
#include <csignal>
#include <string>
#include <vector>

// A cache whose files lost their end is an older cache, and looks whole: what was deleted since
// would be served again.

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;
namespace fs = std::filesystem;

namespace {

constexpr int n_entries = 12;

cache_entry entry_of(std::uint64_t id, int number) {
  cache_entry out;
  out.id = id;
  out.partition = hash_bytes("partition");
  out.canonical = out.prompt = "question " + std::to_string(number);
  out.key = hash_bytes(out.canonical);
  out.answer.text = "answer " + std::to_string(number);
  out.answer.finish_reason = "stop";
  out.created_us = new_year_us;
  out.expires_us = new_year_us + hour_us;
  out.tags = {number % 3 == 0 ? "flushed" : "kept"};
  return out;
}

/// Every second entry is deleted, every third flushed; a life of the database for each of the three
/// steps, so that each made tables and wrote them down. Ids rise with the numbers from `first` on.
std::uint64_t written(const fs::path& folder) {
  std::uint64_t first = 0;
  {
    answers_db db(folder);
    for (int i = 0; i < n_entries; ++i) {
      const auto id = must(db.next_id());
      first = i == 0 ? id : first;
      (void)must(db.put(std::array{entry_of(id, i)}));
    }
    must(db.sync());
  }
  {
    answers_db db(folder);
    for (int i = 0; i < n_entries; i += 2)
      (void)must(db.erase(std::array{first + static_cast<std::uint64_t>(i)}));
  }
  answers_db db(folder);
  must(db.invalidate("flushed"));
  return first;
}

/// What was deleted or flushed is not served; the others are, unless the cache says that it began
/// anew (the result), and then it works and does not begin anew again.
bool check_nothing_came_back(const fs::path& folder, std::uint64_t first) {
  bool wiped = false;
  {
    answers_db db(folder);
    wiped = !db.wiped().empty();
    for (int i = 0; i < n_entries; ++i) {
      const auto what = entry_of(first + static_cast<std::uint64_t>(i), i);
      const auto found = db.get_exact(what.partition, what.key, what.canonical);
      const bool served = found && !db.is_invalidated(found->id, found->tags);
      const bool gone = i % 2 == 0 || i % 3 == 0;
      CHECK((served ? !gone : gone || wiped));
    }
    const auto next = must(db.next_id());
    CHECK(next >= first + n_entries);
    (void)must(db.put(std::array{entry_of(next, 1000)}));
    must(db.sync());
  }
  const answers_db db(folder);
  CHECK(db.wiped().empty());
  CHECK(db.totals().entries > 0);
  return wiped;
}

fs::path manifest_in(const fs::path& folder) {
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().filename().string().starts_with("MANIFEST"))
      return file.path();
  throw std::runtime_error("no MANIFEST");
}

} // namespace

TEST_CASE("a cut MANIFEST brings no deleted answer back", "[store][answers][crash]") {
  const scratch_folder made;
  const auto first = written(made.path() / "db");
  const auto size = fs::file_size(manifest_in(made.path() / "db"));
  std::size_t n_wiped = 0;
  for (std::uintmax_t cut = 0; cut < size; cut += 1 + size / 24) {
    const scratch_folder folder;
    fs::copy(made.path() / "db", folder.path() / "db", fs::copy_options::recursive);
    fs::resize_file(manifest_in(folder.path() / "db"), cut);
    n_wiped += check_nothing_came_back(folder.path() / "db", first);
  }
  CHECK(n_wiped > 20);
  CHECK_FALSE(check_nothing_came_back(made.path() / "db", first)); // whole
}

TEST_CASE("child: deletes answers and dies", "[.child]") {
  answers_db db(child_folder());
  std::uint64_t first = 0;
  for (int i = 0; i < n_entries; ++i) {
    const auto id = must(db.next_id());
    first = i == 0 ? id : first;
    (void)must(db.put(std::array{entry_of(id, i)}));
  }
  for (int i = 0; i < n_entries; i += 2)
    (void)must(db.erase(std::array{first + static_cast<std::uint64_t>(i)}));
  must(db.invalidate("flushed"));
  report(first);
  die();
}

TEST_CASE("a log that lost its end brings no deleted answer back", "[store][answers][crash]") {
  const scratch_folder made;
  child_process child("child: deletes answers and dies", made.path());
  CHECK(child.wait() == 128 + SIGKILL);
  std::uint64_t first = 0;
  REQUIRE(child.next_report(first));
  const auto size = fs::file_size(write_ahead_log(made.path()));
  for (std::uintmax_t cut = 0; cut < size; cut += 1 + size / 24) {
    const scratch_folder folder;
    fs::copy(made.path(), folder.path() / "db", fs::copy_options::recursive);
    fs::resize_file(write_ahead_log(folder.path() / "db"), cut);
    CHECK(check_nothing_came_back(folder.path() / "db", first));
  }
  CHECK_FALSE(check_nothing_came_back(made.path(), first)); // whole
}
