// SPDX-License-Identifier: MIT
#include "store/jobs_db.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;

namespace {

void accept_and_finish(jobs_db& db, const job_record& job, std::int64_t ended_us) {
  auto batch = db.begin();
  must(batch.accept(job));
  must(batch.append_output(job.id, 0, std::array<std::uint32_t, 1>{1}, "text"));
  must(batch.finish(job.id, job_state::done, ended_us, "{\"text\":\"text\"}"));
  must(batch.commit(durability::written));
}

/// A batch with its children, all ended.
void finished_batch(jobs_db& db, std::uint32_t parent, std::uint32_t n_children,
                    std::int64_t ended_us) {
  auto batch = db.begin();
  auto job = some_job(parent);
  job.is_batch = true;
  must(batch.accept(job));
  for (std::uint32_t i = 0; i < n_children; ++i) {
    auto child = some_job(parent + 1 + i);
    child.parent = job.id;
    child.index = i;
    must(batch.accept(child));
    must(batch.finish(child.id, job_state::done, ended_us, "{}"));
  }
  must(batch.grow(job.id, n_children, false));
  must(batch.finish(job.id, job_state::done, ended_us, "{}"));
  must(batch.commit(durability::written));
}

} // namespace

TEST_CASE("an ended job is kept for its retention and then removed whole", "[store][retention]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  const auto end = new_year_us + hour_us;
  auto brief = some_job(1);
  brief.retention_us = hour_us;
  accept_and_finish(db, brief, end);
  accept_and_finish(db, some_job(2), end); // 24 hours
  must(db.accept(std::array{some_job(3)}));

  CHECK(must(db.remove_expired(end + hour_us - 1, 100)).empty());
  CHECK(must(db.remove_expired(end + hour_us, 100)) == std::vector{job_number(1)});
  CHECK(db.find(job_number(1)).why().code() == errc::not_found);
  CHECK(db.request(job_number(1)).why().code() == errc::not_found);
  CHECK(db.result_json(job_number(1)).why().code() == errc::not_found);
  CHECK(must(db.output(job_number(1))).empty());
  CHECK(must(db.list({})).jobs.size() == 2);
  CHECK(must(db.remove_expired(end + 24 * hour_us, 100)) == std::vector{job_number(2)});
  CHECK(must(db.remove_expired(end + 9000 * hour_us, 100)).empty()); // an open job stays
  CHECK(must(db.find(job_number(3))).state == job_state::accepted);
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("removal goes on where a limit stopped it", "[store][retention]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  for (std::uint32_t n = 1; n <= 25; ++n)
    accept_and_finish(db, some_job(n), new_year_us + n);
  std::size_t removed = 0;
  for (int round = 0; round < 3; ++round)
    removed += must(db.remove_expired(new_year_us + 100 * hour_us, 10)).size();
  CHECK(removed == 25);
  CHECK(db.totals().bytes == 0);
}

TEST_CASE("over the byte cap the jobs that ended first go first", "[store][retention]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  for (const std::uint32_t n : {3, 1, 2})
    accept_and_finish(db, some_job(n), new_year_us + 10 - n); // 3 ended first
  must(db.accept(std::array{some_job(4)}));
  const auto all = db.totals().bytes;
  CHECK(must(db.remove_oldest(all, 100)).empty());
  CHECK(must(db.remove_oldest(all - 1, 100)) == std::vector{job_number(3)});
  CHECK(db.totals().bytes < all);
  CHECK(must(db.remove_oldest(0, 1)) == std::vector{job_number(2)});
  CHECK(must(db.remove_oldest(0, 100)) == std::vector{job_number(1)});
  CHECK(db.totals().jobs == 1); // the open one is never evicted
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("an acknowledged job can be removed at once, an open one cannot", "[store][retention]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  accept_and_finish(db, some_job(1), new_year_us);
  must(db.accept(std::array{some_job(2)}));
  auto batch = db.begin();
  CHECK(batch.remove(job_number(2)).code() == errc::invalid);
  CHECK(batch.remove(job_number(9)).code() == errc::not_found);
  must(batch.finish(job_number(2), job_state::cancelled, new_year_us, ""));
  CHECK(batch.remove(job_number(2)).code() == errc::invalid); // its end is not stored yet
  must(batch.remove(job_number(1)));
  CHECK(batch.find(job_number(1)).why().code() == errc::not_found);
  CHECK(batch.remove(job_number(1)).code() == errc::not_found);
  must(batch.commit(durability::written));
  CHECK(db.find(job_number(1)).why().code() == errc::not_found);
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("a key outlives its job by its own time", "[store][retention]") {
  const scratch_folder folder;
  auto job = some_job(1);
  job.key = "k";
  job.retention_us = hour_us;
  const auto end = new_year_us + second_us;
  const auto bound_until = job.created_us + 24 * hour_us;
  jobs_db db(folder.path());
  accept_and_finish(db, job, end);
  CHECK(must(db.remove_expired(end + hour_us, 10)).size() == 1);

  const auto entry = must(db.find_by_key("ann", "k", bound_until - 1));
  CHECK(entry.job == job.id);
  CHECK(entry.until_us == bound_until);
  auto again = some_job(2);
  again.key = "k";
  CHECK(db.accept(std::array{again}).code() == errc::exists);
  CHECK(db.find_by_key("ann", "k", bound_until).why().code() == errc::not_found);

  SECTION("the row goes with the sweep") {
    const auto before = db.totals().bytes;
    CHECK(must(db.remove_expired(bound_until, 10)).empty());
    CHECK(db.totals().bytes < before);
    CHECK(db.totals().bytes == 0);
  }
  SECTION("a new job takes the key before the sweep, which leaves it alone") {
    again.created_us = bound_until;
    must(db.accept(std::array{again}));
    (void)must(db.remove_expired(bound_until + 1, 10));
    CHECK(must(db.find_by_key("ann", "k", bound_until + 1)).job == again.id);
  }
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("a batch is removed with all its children, in slices if need be", "[store][retention]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  finished_batch(db, 1, 50, new_year_us + 1);
  must(db.accept(std::array{some_job(100)}));
  const auto later = new_year_us + 100 * hour_us;
  SECTION("at once") {
    auto batch = db.begin();
    must(batch.remove(job_number(1)));
    must(batch.commit(durability::written));
  }
  SECTION("by time, twenty rows a call, the parent last") {
    CHECK(must(db.remove_expired(later, 20)).empty());
    CHECK(must(db.children(job_number(1))).size() == 30);
    CHECK(must(db.find(job_number(1))).items == 50);
    CHECK(must(db.remove_expired(later, 20)).empty());
    CHECK(must(db.remove_expired(later, 20)) == std::vector{job_number(1)});
  }
  SECTION("by size") {
    std::vector<job_id> removed;
    for (int call = 0; call < 4 && removed.empty(); ++call)
      removed = must(db.remove_oldest(0, 20));
    CHECK(removed == std::vector{job_number(1)});
  }
  CHECK(must(db.children(job_number(1))).empty());
  CHECK(db.totals().jobs == 1);
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("a batch with an open child is not removed", "[store][retention]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  auto parent = some_job(1);
  parent.is_batch = true;
  auto child = some_job(2);
  child.parent = parent.id;
  must(db.accept(std::array{parent, child}));
  auto batch = db.begin();
  must(batch.finish(parent.id, job_state::cancelled, new_year_us, ""));
  must(batch.commit(durability::written));
  CHECK(batch.remove(parent.id).code() == errc::invalid);
  CHECK(batch.empty());
  CHECK(must(db.remove_expired(new_year_us + 1000 * hour_us, 10)).empty());
  CHECK(db.totals().jobs == 2);
}
