// SPDX-License-Identifier: MIT
// A log that ends anywhere: exactly what was written before that place is there, and the rest is
// told.
#include "store/jobs_db.h"
#include "tests/store/child_process.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;
namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t n_logged = 4;

/// Where to cut a log of this many bytes: around the end of every job, and everywhere at a distance
/// of $BITNETD_CUT_STEP bytes (the long run's is 1), from a place that is another one in every run.
std::set<std::uintmax_t> cuts(const std::vector<std::uint64_t>& ends) {
  const auto size = ends.back();
  const auto* wanted = std::getenv("BITNETD_CUT_STEP");
  const auto step = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : size / 8;
  std::set<std::uintmax_t> out;
  for (const auto end : ends)
    out.insert({end - 1, end, std::min<std::uintmax_t>(end + 1, size)});
  for (auto at = std::random_device{}() % step; at < size; at += step)
    out.insert(at);
  return out;
}

} // namespace

TEST_CASE("child: accepts jobs and tells how long the log is", "[.child]") {
  jobs_db db(child_folder());
  for (std::uint32_t n = 1; n <= n_logged; ++n) {
    must(db.accept(std::array{some_job(n)}));
    report(fs::file_size(write_ahead_log(child_folder() / "db")));
  }
  die();
}

TEST_CASE("a log that is cut at any byte has every job before it, and tells of those behind",
          "[store][jobs][crash][cuts]") {
  const scratch_folder folder;
  const auto whole = folder.path() / "whole", copy = folder.path() / "copy";
  child_process child("child: accepts jobs and tells how long the log is", whole);
  std::vector<std::uint64_t> ends(n_logged);
  for (auto& end : ends)
    REQUIRE(child.next_report(end));
  REQUIRE(child.wait() == 128 + SIGKILL);
  REQUIRE(fs::file_size(write_ahead_log(whole / "db")) == ends.back());

  for (const auto at : cuts(ends)) {
    INFO("cut at " << at << " of " << ends.back());
    fs::remove_all(copy);
    fs::copy(whole, copy, fs::copy_options::recursive);
    fs::resize_file(write_ahead_log(copy / "db"), at);
    const auto there = std::ranges::count_if(ends, [&](auto end) { return end <= at; });
    const jobs_db db(copy);
    for (std::uint32_t n = 1; n <= n_logged; ++n) {
      const auto job = db.find(job_number(n));
      if (n > there)
        REQUIRE(job.why().code() == errc::not_found);
      else
        REQUIRE(must(db.request(job_number(n))) == some_job(n).request);
    }
    REQUIRE(db.totals() == must(db.recount()));
    REQUIRE(db.loss_at_open().has_value() == (there < n_logged));
    if (const auto& loss = db.loss_at_open()) {
      CHECK(loss->accepted_before == n_logged);
      CHECK(loss->accepted_found == static_cast<std::uint64_t>(there));
    }
  }
}
