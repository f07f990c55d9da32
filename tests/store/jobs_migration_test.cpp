// SPDX-License-Identifier: MIT
#include "store/database.h"
#include "store/jobs_columns.h"
#include "store/jobs_db.h"
#include "store/keys.h"
#include "store/records.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <span>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;

namespace {

/// A journal as schema 1 had it: eleven column families, batches in the order of release, nothing
/// that says what runs, what wakes, what of a batch has ended, what is dead.
class journal_1 {
public:
  explicit journal_1(const std::filesystem::path& folder)
      : rows_(folder / "db", std::span(jobs::columns).first(11),
              {std::make_shared<const resources>(), 1u << 20}) {
    batch_.put(rows_, jobs::sys, "schema", "1");
  }
  void add(const job_record& job) {
    const auto key = jobs::job_key(job.id);
    batch_.put(rows_, jobs::records, key, encode_job(key, job));
    batch_.put(rows_, jobs::requests, key, encode_blob(key, "{}"));
    if (job.parent)
      batch_.put(rows_, jobs::children, jobs::child_key(*job.parent, job.index), key);
    if (is_terminal(job.state))
      return;
    const open_job place{job.id, job.cls, job.deadline_us, job.not_before_us, job.principal};
    batch_.put(rows_, jobs::open, jobs::open_key(place), jobs::open_value(place));
  }
  void close() {
    REQUIRE(rows_.write(batch_, true));
    REQUIRE(rows_.flush());
  }

private:
  database rows_;
  write_batch batch_;
};

job_record item(std::uint32_t n, std::uint32_t index, job_state state, std::int64_t ended_us = 0) {
  auto out = some_job(n);
  out.request.clear();
  out.key.clear();
  out.parent = job_number(1);
  out.index = index;
  out.state = state;
  out.ended_us = ended_us;
  return out;
}

} // namespace

TEST_CASE("a journal of schema 1 is brought to schema 2 and loses nothing", "[store][jobs]") {
  const scratch_folder folder;
  {
    journal_1 old(folder.path());
    auto batch = some_job(1);
    batch.request.clear();
    batch.key.clear();
    batch.is_batch = true;
    batch.items = 4;
    batch.state = job_state::queued;
    old.add(batch);
    old.add(item(2, 0, job_state::done, new_year_us + 20));
    old.add(item(3, 1, job_state::failed, new_year_us + 10));
    old.add(item(4, 2, job_state::running));
    old.add(item(5, 3, job_state::queued));
    auto sleeper = some_job(6);
    sleeper.request.clear();
    sleeper.key.clear();
    sleeper.state = job_state::queued;
    sleeper.not_before_us = new_year_us + 500;
    old.add(sleeper);
    auto dead = some_job(7);
    dead.request.clear();
    dead.key.clear();
    dead.state = job_state::dead;
    dead.ended_us = new_year_us + 30;
    old.add(dead);
    old.close();
  }
  for (int start = 0; start < 2; ++start) { // the second finds it done
    const jobs_db db(folder.path());
    CHECK(must(db.open_batches()) == std::vector{job_number(1)});
    CHECK(must(db.running()) == std::vector{job_number(4)});
    const auto ended = must(db.completed(job_number(1)));
    REQUIRE(ended.size() == 2);
    CHECK(ended[0] == completed_item{0, 1, job_number(3), job_state::failed});
    CHECK(ended[1] == completed_item{1, 0, job_number(2), job_state::done});
    CHECK(must(db.count_completed(job_number(1))) == completed_counts{1, 1});
    std::vector<job_id> waiting;
    for (const auto& job : must(db.open_jobs(std::nullopt, 100)))
      waiting.push_back(job.id);
    CHECK(waiting == std::vector{job_number(4), job_number(5), job_number(6)});
    const auto waking = must(db.waking({}, new_year_us + 500, 10));
    REQUIRE(waking.size() == 1);
    CHECK(waking[0].id == job_number(6));
    CHECK(waking[0].not_before_us == new_year_us + 500);
    CHECK(must(db.waking({}, new_year_us + 499, 10)).empty());
    REQUIRE(must(db.dead(std::nullopt, 10)).size() == 1);
    CHECK(must(db.dead(std::nullopt, 10))[0].id == job_number(7));
    CHECK(db.totals().open == 4); // the batch, and three jobs
    CHECK(db.totals() == must(db.recount()));
  }
}
