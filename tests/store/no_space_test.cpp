// SPDX-License-Identifier: MIT
#include "store/jobs_db.h"
#include "tests/store/child_process.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <fstream>
#include <sched.h>
#include <sys/mount.h>
#include <thread>
#include <unistd.h>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;

namespace {

// What the child tells the parent.
constexpr std::uint64_t no_namespace = 0, passed = 1;

/// Mounts a small file system over `folder`, seen by this process only.
bool mount_small(const std::filesystem::path& folder, const char* limits = "size=48m") {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
    return false;
  (void)::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  return ::mount("small", folder.c_str(), "tmpfs", 0, limits) == 0;
}

/// A file that takes all the room that is left.
std::filesystem::path fill(const std::filesystem::path& folder) {
  const auto filler = folder / "filler";
  std::ofstream out(filler, std::ios::binary);
  const std::string block(4096, 'x');
  while (out.write(block.data(), 4096).flush())
    ;
  return filler;
}

/// Accepts large jobs until one is refused: the log has some room of its own. How many were taken.
std::uint32_t accept_until_full(jobs_db& db) {
  for (std::uint32_t n = 1; n < 100; ++n) {
    auto job = some_job(n);
    job.request = std::string(1 << 20, 'r');
    const auto taken = db.accept(std::array{job});
    if (taken.ok())
      continue;
    CHECK(taken.code() == errc::no_space);
    return n - 1;
  }
  FAIL("the disk did not fill");
  return 0;
}

/// Opened anew, the journal has every job that accept_until_full took.
void check_that_all_are_there(const std::filesystem::path& folder, std::uint32_t taken) {
  const jobs_db db(folder);
  CHECK_FALSE(db.loss_at_open());
  for (std::uint32_t n = 1; n <= taken; ++n)
    CHECK(must(db.request(job_number(n))).size() == 1 << 20);
  CHECK(db.totals() == must(db.recount()));
}

void run_child(const std::string& name) {
  const scratch_folder folder;
  child_process child(name, folder.path());
  std::uint64_t outcome = no_namespace;
  const bool told = child.next_report(outcome);
  CHECK(child.wait() == 0);
  REQUIRE(told);
  if (outcome == no_namespace)
    WARN("not run: this machine lets us mount nothing, not even in a namespace of our own");
}

} // namespace

TEST_CASE("child: fills the disk", "[.child]") {
  const auto folder = child_folder();
  if (!mount_small(folder)) {
    report(no_namespace);
    return;
  }
  jobs_db db(folder);
  const auto filler = fill(folder);
  const auto taken = accept_until_full(db);
  REQUIRE(taken > 0);
  CHECK(must(db.request(job_number(1))).size() == 1 << 20); // reads go on
  CHECK(db.find(job_number(taken + 1)).why().code() == errc::not_found);

  std::filesystem::remove(filler);
  status resumed = db.resume();
  for (int tries = 0; !resumed.ok() && tries < 600; ++tries) {
    CHECK(resumed.code() == errc::no_space);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    resumed = db.resume();
  }
  must(resumed);
  must(db.accept(std::array{some_job(200)}));
  CHECK(must(db.find(job_number(200))).principal == "ann");
  CHECK(db.totals() == must(db.recount()));
  report(passed);
}

TEST_CASE("a full disk refuses jobs by name, reads go on, and writes again when there is room",
          "[store][jobs][no_space]") {
  run_child("child: fills the disk");
}

TEST_CASE("child: uses up the disk's inodes", "[.child]") {
  const auto folder = child_folder();
  if (!mount_small(folder, "size=96m,nr_inodes=96")) {
    report(no_namespace);
    return;
  }
  std::uint32_t taken = 0;
  {
    jobs_db db(folder);
    const auto fillers = folder / "fillers";
    std::filesystem::create_directory(fillers);
    for (int n = 0; std::ofstream(fillers / std::to_string(n)); ++n)
      ;
    taken = accept_until_full(db); // a new log would be a new file
    REQUIRE(taken > 0);
    CHECK(must(db.request(job_number(1))).size() == 1 << 20); // reads go on
    const auto still = db.resume();
    INFO(still.text());
    CHECK(still.code() == errc::no_space);
    std::filesystem::remove_all(fillers);
    const auto now = db.resume();
    INFO(now.text());
    CHECK(now.code() == errc::io_error); // no_space for ever would leave it as it is
    CHECK_THAT(now.text(), Catch::Contains("opened anew"));
  }
  check_that_all_are_there(folder, taken);
  report(passed);
}

TEST_CASE("a disk without inodes refuses jobs by name, and loses none that it took",
          "[store][jobs][no_space]") {
  run_child("child: uses up the disk's inodes");
}

TEST_CASE("child: closes on a full disk", "[.child]") {
  const auto folder = child_folder();
  if (!mount_small(folder)) {
    report(no_namespace);
    return;
  }
  std::uint32_t taken = 0;
  {
    jobs_db db(folder);
    (void)fill(folder);
    taken = accept_until_full(db);
  }
  std::filesystem::remove(folder / "filler");
  check_that_all_are_there(folder, taken);
  report(passed);
}

TEST_CASE("closing on a full disk loses nothing that was acknowledged", "[store][jobs][no_space]") {
  run_child("child: closes on a full disk");
}
