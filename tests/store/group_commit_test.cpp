// SPDX-License-Identifier: MIT
#include "store/jobs_db.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdio>

using namespace bitnetd::store;
using namespace bitnetd::tests;

namespace {

/// Accepts jobs of 600 bytes for 300 ms, `group` to a synced commit; jobs per second.
double accepted_per_second(jobs_db& db, std::uint32_t group, std::uint32_t& next) {
  using clock = std::chrono::steady_clock;
  const auto start = clock::now();
  std::uint32_t n = 0;
  while (clock::now() - start < std::chrono::milliseconds(300)) {
    auto batch = db.begin();
    for (std::uint32_t i = 0; i < group; ++i, ++n) {
      auto job = some_job(next++);
      job.request.resize(600, 'x');
      must(batch.accept(job));
    }
    must(batch.commit(durability::synced));
  }
  return n / std::chrono::duration<double>(clock::now() - start).count();
}

} // namespace

TEST_CASE("the throughput of group commit is printed", "[store][jobs][time]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  std::uint32_t next = 1;
  for (const std::uint32_t group : {1, 8, 64})
    std::printf("jobs_db: %2u jobs per synced commit: %.0f jobs accepted per second\n", group,
                accepted_per_second(db, group, next));
  CHECK(db.totals().accepted == next - 1);
}
