// SPDX-License-Identifier: MIT
#include "store/database.h"
#include "store/jobs_columns.h"
#include "store/jobs_db.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;

namespace {

const std::vector<std::uint32_t> three_tokens = {11, 12, 13};

std::vector<job_id> ids_of(const std::vector<job_record>& jobs) {
  std::vector<job_id> out;
  for (const auto& job : jobs)
    out.push_back(job.id);
  return out;
}

void finish(jobs_db& db, const job_id& job, std::int64_t ended_us = new_year_us + hour_us) {
  auto batch = db.begin();
  must(batch.finish(job, job_state::done, ended_us, "{}"));
  must(batch.commit(durability::written));
}

job_record some_batch(std::uint32_t n) {
  auto parent = some_job(n);
  parent.is_batch = true;
  return parent;
}

job_record some_child(std::uint32_t n, std::uint32_t parent, std::uint32_t index) {
  auto child = some_job(n);
  child.parent = job_number(parent);
  child.index = index;
  return child;
}

} // namespace

TEST_CASE("an accepted job is read back whole, also by the next process", "[store][jobs]") {
  const scratch_folder folder;
  auto job = some_job(1);
  job.key = "once";
  job.fingerprint = hash_bytes("body");
  job.options = "{\"max_tokens\":7}";
  job.deadline_us = new_year_us + hour_us;
  {
    jobs_db db(folder.path());
    must(db.accept(std::array{job}));
  }
  const jobs_db db(folder.path());
  auto stored = must(db.find(job.id));
  CHECK(stored.request_bytes == job.request.size());
  CHECK(must(db.request(job.id)) == job.request);
  stored.request = job.request;
  stored.request_bytes = 0;
  CHECK(stored == job);
  CHECK(db.totals() == must(db.recount()));
  CHECK(db.totals().accepted == 1);
  CHECK(must(db.last_id()) == job.id);
  CHECK_FALSE(db.loss_at_open());
  CHECK(must(db.losses()).empty());
  CHECK(db.disk_bytes() > 0);
}

TEST_CASE("what is not there is not found", "[store][jobs]") {
  const scratch_folder folder;
  const jobs_db db(folder.path());
  CHECK(db.find(job_number(1)).why().code() == errc::not_found);
  CHECK(db.request(job_number(1)).why().code() == errc::not_found);
  CHECK(db.result_json(job_number(1)).why().code() == errc::not_found);
  CHECK(db.find_by_key("ann", "k", new_year_us).why().code() == errc::not_found);
  CHECK(must(db.position(job_number(1))) == output_position{});
  CHECK(must(db.output(job_number(1))).empty());
  CHECK(must(db.last_id()) == job_id{});
  CHECK(db.totals() == job_totals{});
}

TEST_CASE("a group of facts is true together, or not at all", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  CHECK(db.accept(std::array{some_job(1), some_job(2), some_job(1)}).code() == errc::exists);
  CHECK(db.find(job_number(1)).why().code() == errc::not_found);
  CHECK(db.totals() == job_totals{});
  {
    auto dropped = db.begin();
    must(dropped.accept(some_job(3)));
    CHECK(dropped.size() == 1);
    CHECK(must(dropped.find(job_number(3))).principal == "ann"); // the batch sees itself
  }
  CHECK(db.find(job_number(3)).why().code() == errc::not_found); // nobody else does
}

TEST_CASE("an id is stored once, whether it is the newest or not", "[store][jobs]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    must(db.accept(std::array{some_job(5), some_job(9)}));
    for (const std::uint32_t known : {5, 9})
      CHECK(db.accept(std::array{some_job(known)}).code() == errc::exists);
    must(db.accept(std::array{some_job(3), some_job(7)})); // new, and older than the newest
    CHECK(db.accept(std::array{some_job(12), some_job(12)}).code() == errc::exists);
  }
  jobs_db db(folder.path());
  for (const std::uint32_t known : {3, 5, 7, 9})
    CHECK(db.accept(std::array{some_job(known)}).code() == errc::exists);
  must(db.accept(std::array{some_job(10)}));
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("a job goes through its states to its end, all in one batch or step by step",
          "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  const bool one_commit = GENERATE(true, false);
  auto batch = db.begin();
  const auto step = [&] {
    if (!one_commit)
      must(batch.commit(durability::written));
  };
  const auto id = job_number(1);
  must(batch.accept(some_job(1)));
  step();
  must(batch.set_state(id, job_state::queued));
  step();
  must(batch.set_state(id, job_state::scheduled));
  must(batch.set_running(id, new_year_us + 5));
  step();
  must(batch.append_output(id, 0, three_tokens, "Hel"));
  step();
  must(batch.append_output(id, 3, {}, "l"));          // text held back by a stop string
  must(batch.append_output(id, 3, three_tokens, {})); // tokens that complete no character
  must(batch.append_output(id, 6, three_tokens, "o, world"));
  must(batch.append_output(id, 9, {}, {})); // nothing: no row
  step();
  must(batch.finish(id, job_state::done, new_year_us + 9, R"({"text":"Hello, world"})", ""));
  must(batch.commit(durability::synced));

  const auto job = must(db.find(id));
  CHECK(job.state == job_state::done);
  CHECK(job.started_us == new_year_us + 5);
  CHECK(job.ended_us == new_year_us + 9);
  CHECK(job.output_tokens == 9);
  CHECK(job.output_bytes == 12);
  CHECK(must(db.result_json(id)) == R"({"text":"Hello, world"})");
  CHECK(must(db.position(id)) == output_position{9, 12});

  const auto rows = must(db.output(id));
  REQUIRE(rows.size() == 4);
  CHECK(rows[0] == output_row{0, 0, three_tokens, "Hel"});
  CHECK(rows[1] == output_row{3, 3, {}, "l"});
  CHECK(rows[2] == output_row{3, 4, three_tokens, ""});
  CHECK(rows[3] == output_row{6, 4, three_tokens, "o, world"});
  CHECK(db.totals() == must(db.recount()));
  CHECK(db.totals().open == 0);
}

TEST_CASE("output is read from any token and from any byte", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  must(db.accept(std::array{some_job(1), some_job(2)}));
  std::string all;
  auto batch = db.begin();
  for (std::uint32_t i = 0; i < 40; ++i) {
    const auto text = std::string(i % 5, static_cast<char>('a' + i % 26));
    must(batch.append_output(job_number(1), 2 * i, std::array{i, i}, text));
    all += text;
  }
  must(batch.append_output(job_number(2), 0, three_tokens, "another job's"));
  must(batch.commit(durability::written));

  for (std::size_t offset = 0; offset <= all.size() + 3; ++offset)
    for (const std::size_t size : {0, 1, 7, 1000}) {
      const auto expected = offset < all.size() ? all.substr(offset, size) : "";
      REQUIRE(must(db.output_text(job_number(1), offset, size)) == expected);
    }
  for (std::uint64_t token = 0; token < 80; ++token) {
    const auto rows = must(db.output(job_number(1), token));
    REQUIRE(rows.front().first_token == token / 2 * 2);
    REQUIRE(rows.size() == 40 - token / 2);
  }
  CHECK(must(db.output(job_number(1), 80)).empty());
}

TEST_CASE("output that does not continue what is stored is refused", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  must(db.accept(std::array{some_job(1)}));
  auto batch = db.begin();
  must(batch.append_output(job_number(1), 0, three_tokens, "abc"));
  CHECK(batch.append_output(job_number(1), 0, three_tokens, "abc").code() == errc::invalid);
  CHECK(batch.append_output(job_number(1), 4, three_tokens, "abc").code() == errc::invalid);
  CHECK(batch.append_output(job_number(9), 0, three_tokens, "abc").code() == errc::not_found);
  must(batch.commit(durability::written));
  CHECK(batch.append_output(job_number(1), 2, three_tokens, "abc").code() == errc::invalid);

  must(batch.reset_output(job_number(1))); // a retry starts over
  must(batch.append_output(job_number(1), 0, three_tokens, "xy"));
  must(batch.commit(durability::written));
  CHECK(must(db.output_text(job_number(1), 0, 100)) == "xy");
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("an ended job stays as it ended", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  must(db.accept(std::array{some_job(1)}));
  finish(db, job_number(1));
  const auto before = must(db.find(job_number(1)));
  auto batch = db.begin();
  CHECK(batch.finish(job_number(1), job_state::failed, 1, "{}").code() == errc::invalid);
  CHECK(batch.set_running(job_number(1), 1).code() == errc::invalid);
  CHECK(batch.set_state(job_number(1), job_state::queued).code() == errc::invalid);
  CHECK(batch.append_output(job_number(1), 0, three_tokens, "x").code() == errc::invalid);
  CHECK(batch.reset_output(job_number(1)).code() == errc::invalid);
  CHECK(batch.count_crash(job_number(1)).why().code() == errc::invalid);
  CHECK(batch.empty());
  must(batch.commit(durability::written));
  CHECK(must(db.find(job_number(1))) == before);
}

TEST_CASE("a value outside its bounds is refused and nothing is written", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  const auto refused = [&](auto&& change) {
    auto job = some_job(1);
    change(job);
    auto batch = db.begin();
    const auto code = batch.accept(job).code();
    CHECK(batch.empty());
    return code == errc::invalid;
  };
  CHECK(refused([](job_record& job) { job.id = {}; }));
  CHECK(refused([](job_record& job) { job.principal = ""; }));
  CHECK(refused([](job_record& job) { job.principal = std::string(257, 'p'); }));
  CHECK(refused([](job_record& job) { job.key = std::string(129, 'k'); }));
  CHECK(refused([](job_record& job) { job.options = std::string((64 << 10) + 1, 'o'); }));
  CHECK(refused([](job_record& job) { job.request = std::string((64 << 20) + 1, 'r'); }));
  CHECK(refused([](job_record& job) { job.model = std::string(4097, 'm'); }));
  CHECK(refused([](job_record& job) { job.state = job_state::running; }));
  CHECK(refused([](job_record& job) { job.deadline_us = -1; }));
  CHECK(refused([](job_record& job) { job.not_before_us = INT64_MAX; }));
  CHECK(refused([](job_record& job) { job.retention_us = -1; }));
  CHECK(refused([](job_record& job) {
    job.is_batch = true;
    job.parent = job_number(2);
  }));
  must(db.accept(std::array{some_job(1)}));
  auto batch = db.begin();
  CHECK(batch.set_state(job_number(1), job_state::done).code() == errc::invalid);
  CHECK(batch.finish(job_number(1), job_state::running, 1, "").code() == errc::invalid);
  CHECK(batch.finish(job_number(1), job_state::done, -1, "").code() == errc::invalid);
  CHECK(db.list({.limit = 0}).why().code() == errc::invalid);
  CHECK(db.list({.limit = 501}).why().code() == errc::invalid);
  CHECK(db.list({.principal = ""}).why().code() == errc::invalid);
}

TEST_CASE("a key is bound once per principal", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  const auto keyed = [](std::uint32_t n, const char* principal, const char* key) {
    auto job = some_job(n, principal);
    job.key = key;
    job.fingerprint = hash_bytes(std::to_string(n));
    return job;
  };
  auto batch = db.begin();
  must(batch.accept(keyed(1, "ann", "k")));
  CHECK(batch.accept(keyed(2, "ann", "k")).code() == errc::exists); // within the batch
  CHECK(must(batch.find_by_key("ann", "k", new_year_us)).job == job_number(1));
  must(batch.commit(durability::synced));
  CHECK(batch.accept(keyed(3, "ann", "k")).code() == errc::exists); // and after it
  must(batch.accept(keyed(4, "bob", "k")));
  must(batch.accept(keyed(5, "ann", "kk")));
  must(batch.accept(keyed(6, "an", "nk"))); // not the same as ann, k
  must(batch.commit(durability::synced));

  const auto entry = must(db.find_by_key("ann", "k", new_year_us));
  CHECK(entry == key_entry{job_number(1), hash_bytes("1"), 0});
  CHECK(must(db.find_by_key("bob", "k", new_year_us)).job == job_number(4));
  CHECK(must(db.find_by_key("an", "nk", new_year_us)).job == job_number(6));
  CHECK(db.find_by_key("bob", "kk", new_year_us).why().code() == errc::not_found);
}

TEST_CASE("one job with the same key comes through of a hundred in one batch", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  auto batch = db.begin();
  int taken = 0;
  for (std::uint32_t n = 1; n <= 100; ++n) {
    auto job = some_job(n);
    job.key = "same";
    if (batch.accept(job).ok())
      ++taken;
  }
  must(batch.commit(durability::synced));
  CHECK(taken == 1);
  CHECK(db.totals().jobs == 1);
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("unfinished jobs come in the order of release", "[store][jobs]") {
  const scratch_folder folder;
  std::vector<open_job> expected;
  {
    jobs_db db(folder.path());
    const auto add = [&](std::uint32_t n, job_class cls, std::int64_t deadline_us,
                         const char* principal) {
      auto job = some_job(n, principal);
      job.cls = cls;
      job.deadline_us = deadline_us;
      job.not_before_us = n;
      must(db.accept(std::array{job}));
      return open_job{job.id, cls, deadline_us, n, principal};
    };
    const auto late = add(1, job_class::background, new_year_us + 1, "ann");
    const auto no_deadline = add(2, job_class::interactive, 0, "ann");
    const auto urgent_bob = add(3, job_class::interactive, new_year_us + 5, "bob");
    const auto urgent_ann = add(4, job_class::interactive, new_year_us + 5, "ann");
    const auto normal = add(5, job_class::normal, 0, "ann");
    add(6, job_class::normal, 0, "ann");
    finish(db, job_number(6));
    expected = {urgent_ann, urgent_bob, no_deadline, normal, late};
  }
  const jobs_db db(folder.path());
  CHECK(must(db.open_jobs(std::nullopt, 100)) == expected);
  CHECK(db.totals().open == 5);

  std::vector<open_job> paged;
  while (true) {
    const auto after = paged.empty() ? std::nullopt : std::optional(paged.back());
    const auto page = must(db.open_jobs(after, 2));
    if (page.empty())
      break;
    paged.insert(paged.end(), page.begin(), page.end());
  }
  CHECK(paged == expected);
}

TEST_CASE("crashes while running are counted and the job returns to the queue", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  must(db.accept(std::array{some_job(1)}));
  auto batch = db.begin();
  must(batch.set_running(job_number(1), new_year_us));
  CHECK(must(batch.count_crash(job_number(1))) == 1);
  must(batch.commit(durability::written));
  CHECK(must(batch.count_crash(job_number(1))) == 2);
  must(batch.commit(durability::written));
  CHECK(must(db.find(job_number(1))).attempts == 2);
  CHECK(must(db.find(job_number(1))).state == job_state::queued);
}

TEST_CASE("a list pages from the newest to the oldest without a gap", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  std::vector<job_id> anns, everybodys;
  for (std::uint32_t n = 1; n <= 60; ++n) {
    must(db.accept(std::array{some_job(n, n % 3 == 0 ? "bob" : "ann")}));
    everybodys.insert(everybodys.begin(), job_number(n));
    if (n % 3 != 0)
      anns.insert(anns.begin(), job_number(n));
    if (n % 2 == 0)
      finish(db, job_number(n));
  }
  const auto pages = [&](list_query query) {
    std::vector<job_id> all;
    while (true) {
      const auto page = must(db.list(query));
      REQUIRE(page.jobs.size() <= query.limit);
      for (const auto& id : ids_of(page.jobs))
        all.push_back(id);
      if (!page.next)
        return all;
      query.after = page.next;
    }
  };
  const std::size_t limit = GENERATE(1, 7, 40, 500);
  CHECK(pages({.principal = "ann", .limit = limit}) == anns);
  CHECK(pages({.limit = limit}) == everybodys);
  CHECK(pages({.principal = "nobody", .limit = limit}).empty());
  CHECK(pages({.principal = "ann", .states = {job_state::done}, .limit = limit}).size() == 20);
  CHECK(pages({.states = {job_state::done, job_state::accepted}, .limit = limit}).size() == 60);
  CHECK(pages({.states = {job_state::dead}, .limit = limit}).empty());
  const auto since = pages({.since_us = some_job(55).created_us, .limit = limit});
  CHECK(since == std::vector(everybodys.begin(), everybodys.begin() + 6));
}

TEST_CASE("a batch speaks for its children", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  auto batch = db.begin();
  must(batch.accept(some_batch(1)));
  must(batch.accept(some_child(2, 1, 0)));
  must(batch.accept(some_child(3, 1, 2))); // parts may come in any order
  must(batch.grow(job_number(1), 2, true));
  must(batch.commit(durability::synced));
  must(batch.accept(some_child(4, 1, 1)));
  must(batch.grow(job_number(1), 1, false));
  must(batch.commit(durability::synced));

  const auto parent = must(db.find(job_number(1)));
  CHECK(parent.items == 3);
  CHECK(parent.parts == 2);
  CHECK_FALSE(parent.more);
  const std::vector in_order = {job_number(2), job_number(4), job_number(3)};
  CHECK(ids_of(must(db.children(job_number(1)))) == in_order);
  CHECK(ids_of(must(db.children(job_number(1), 1, 1))) == std::vector{job_number(4)});
  CHECK(ids_of(must(db.list({})).jobs) == std::vector{job_number(1)}); // children are not listed

  CHECK(batch.accept(some_child(5, 1, 1)).code() == errc::exists); // the index is taken
  CHECK(batch.accept(some_child(5, 9, 0)).code() == errc::not_found);
  must(db.accept(std::array{some_job(6)}));
  CHECK(batch.accept(some_child(5, 6, 0)).code() == errc::invalid); // not a batch
  CHECK(batch.grow(job_number(6), 1, false).code() == errc::invalid);
  finish(db, job_number(1));
  CHECK(batch.accept(some_child(5, 1, 7)).code() == errc::invalid); // it has ended
}

TEST_CASE("totals equal a recount after any order of facts", "[store][jobs]") {
  const scratch_folder folder;
  std::mt19937 random(3);
  std::uint32_t next = 1;
  for (int round = 0; round < 3; ++round) {
    jobs_db db(folder.path());
    for (int i = 0; i < 60; ++i) {
      auto batch = db.begin();
      for (auto n = random() % 4; n > 0; --n) {
        auto job = some_job(next++);
        if (random() % 2 == 0)
          job.key = "key " + std::to_string(random() % 40);
        (void)batch.accept(job).ok(); // keys that are taken: nothing is added
      }
      for (auto n = random() % 6; n > 0; --n) {
        const auto job = job_number(static_cast<std::uint32_t>(random() % next));
        const auto position = batch.position(job);
        switch (random() % 5) {
        case 0:
          (void)batch.set_running(job, new_year_us).ok();
          break;
        case 1:
          (void)batch.append_output(job, position->tokens, three_tokens, "some text").ok();
          break;
        case 2:
          (void)batch.finish(job, job_state::done, new_year_us + next, "{\"text\":\"\"}").ok();
          break;
        case 3:
          (void)batch.remove(job).ok();
          break;
        default:
          (void)batch.reset_output(job).ok();
        }
      }
      must(batch.commit(random() % 4 == 0 ? durability::synced : durability::written));
      if (random() % 10 == 0)
        (void)must(db.remove_expired(new_year_us + 30 * hour_us, 5));
    }
    REQUIRE(db.totals() == must(db.recount()));
    REQUIRE(db.totals().jobs > 0);
  }
}

TEST_CASE("a database of a newer version is refused by name", "[store][jobs]") {
  const scratch_folder folder;
  { jobs_db db(folder.path()); }
  const database_options options{std::make_shared<const resources>()};
  SECTION("a newer schema number") {
    {
      database raw(folder.path() / "db", jobs::columns, options);
      write_batch batch;
      batch.put(raw, jobs::sys, jobs::schema_key, "3");
      must(raw.write(batch, true));
    }
    REQUIRE_THROWS_WITH(jobs_db(folder.path()),
                        Catch::Contains("schema 3") && Catch::Contains("newer version"));
  }
  SECTION("an unknown column family") {
    std::vector<column> more(jobs::columns.begin(), jobs::columns.end());
    more.push_back({"checkpoint", column_kind::index});
    { const database raw(folder.path() / "db", more, options); }
    REQUIRE_THROWS_WITH(jobs_db(folder.path()),
                        Catch::Contains("\"checkpoint\"") && Catch::Contains("newer version"));
  }
}

TEST_CASE("a database that is open elsewhere is refused as locked", "[store][jobs]") {
  const scratch_folder folder;
  const jobs_db db(folder.path());
  try {
    const jobs_db second(folder.path());
    FAIL("opened twice");
  } catch (const open_error& error) {
    CHECK(error.code() == errc::locked);
  }
}

TEST_CASE("a damaged record is named in a list and never removed", "[store][jobs]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    must(db.accept(std::array{some_job(1), some_job(2), some_job(3)}));
    for (const std::uint32_t n : {1, 2, 3})
      finish(db, job_number(n));
  }
  {
    database raw(folder.path() / "db", jobs::columns, {std::make_shared<const resources>()});
    auto value = must(raw.get(jobs::records, jobs::job_key(job_number(2))));
    value[value.size() / 2] = static_cast<char>(value[value.size() / 2] ^ 1);
    write_batch batch;
    batch.put(raw, jobs::records, jobs::job_key(job_number(2)), value);
    must(raw.write(batch, true));
  }
  jobs_db db(folder.path());
  CHECK(db.find(job_number(2)).why().code() == errc::corrupt);
  const auto page = must(db.list({}));
  CHECK(ids_of(page.jobs) == std::vector{job_number(3), job_number(1)});
  CHECK(page.unreadable == std::vector{job_number(2)});
  const auto removed = must(db.remove_expired(new_year_us + 1000 * hour_us, 100));
  CHECK(removed == std::vector{job_number(1), job_number(3)});
  CHECK(must(db.request(job_number(2))) == some_job(2).request);
}

TEST_CASE("readers on other threads see whole jobs while the ledger writes", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  std::atomic<bool> over = false;
  std::atomic<std::uint32_t> wrong = 0, seen = 0; // Catch2's macros are for one thread
  const auto reader = [&] {
    while (!over) {
      const auto page = db.list({.limit = 50});
      if (!page) {
        ++wrong;
        continue;
      }
      for (const auto& job : page->jobs) {
        ++seen;
        // What one commit wrote is there together.
        if (is_terminal(job.state) && !db.result_json(job.id))
          ++wrong;
        if (db.request(job.id).ok() == false)
          ++wrong;
      }
      if (db.totals().open > db.totals().jobs + 1)
        ++wrong;
    }
  };
  std::thread first(reader), second(reader);
  for (std::uint32_t n = 1; n <= 400; ++n) {
    auto batch = db.begin();
    must(batch.accept(some_job(n)));
    if (n > 10)
      must(batch.finish(job_number(n - 10), job_state::done, new_year_us, "{}"));
    must(batch.commit(durability::written));
  }
  while (seen == 0)
    std::this_thread::yield();
  over = true;
  first.join();
  second.join();
  CHECK(wrong == 0);
}

TEST_CASE("the ends of a batch's items keep their order, and are counted", "[store][jobs]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    auto batch = some_job(1);
    batch.is_batch = true;
    must(db.accept(std::array{batch}));
    auto facts = db.begin();
    for (std::uint32_t n = 0; n < 3; ++n) {
      auto item = some_job(2 + n);
      item.parent = batch.id;
      item.index = n;
      must(facts.accept(item));
    }
    must(facts.grow(batch.id, 3, false));
    must(facts.commit(durability::synced));
    CHECK(must(db.open_batches()) == std::vector{batch.id});
    // Two ends in one commit, then one in the next.
    must(facts.finish(job_number(4), job_state::done, new_year_us + 50, "{}"));
    must(facts.finish(job_number(2), job_state::failed, new_year_us + 50, "{}"));
    must(facts.commit(durability::synced));
    finish(db, job_number(3));
  }
  jobs_db db(folder.path());
  std::vector<std::uint32_t> order;
  for (const auto& item : must(db.completed(job_number(1))))
    order.push_back(item.index);
  CHECK(order == std::vector<std::uint32_t>{2, 0, 1});
  CHECK(must(db.completed(job_number(1), 2)).size() == 1);
  CHECK(must(db.completed(job_number(1), 0, 1))[0].child == job_number(4));
  CHECK(must(db.count_completed(job_number(1))) == completed_counts{2, 1});
  finish(db, job_number(1));
  CHECK(must(db.open_batches()).empty());
  auto facts = db.begin();
  must(facts.remove(job_number(1)));
  must(facts.commit(durability::synced));
  CHECK(must(db.completed(job_number(1))).empty());
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("what was running is known at the next open, and only that", "[store][jobs]") {
  const scratch_folder folder;
  {
    jobs_db db(folder.path());
    for (std::uint32_t n = 1; n <= 4; ++n)
      must(db.accept(std::array{some_job(n)}));
    auto facts = db.begin();
    for (std::uint32_t n = 1; n <= 4; ++n)
      must(facts.set_running(job_number(n), new_year_us));
    must(facts.set_running(job_number(1), new_year_us + 1)); // again, on another worker
    must(facts.commit(durability::written));
    must(facts.set_state(job_number(2), job_state::queued));
    must(facts.finish(job_number(3), job_state::done, new_year_us + 5, "{}"));
    must(facts.commit(durability::written));
  }
  jobs_db db(folder.path());
  CHECK(must(db.running()) == std::vector{job_number(1), job_number(4)});
  auto facts = db.begin();
  CHECK(must(facts.count_crash(job_number(1))) == 1);
  must(facts.commit(durability::synced));
  CHECK(must(db.running()) == std::vector{job_number(4)});
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("overdue and waking jobs are found by their time", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  const auto add = [&](std::uint32_t n, job_class cls, std::int64_t deadline_us,
                       std::int64_t not_before_us) {
    auto job = some_job(n);
    job.cls = cls;
    job.deadline_us = deadline_us;
    job.not_before_us = not_before_us;
    must(db.accept(std::array{job}));
  };
  add(1, job_class::background, new_year_us + 10, 0);
  add(2, job_class::interactive, new_year_us + 20, 0);
  add(3, job_class::interactive, new_year_us + 30, new_year_us + 7);
  add(4, job_class::normal, 0, new_year_us + 5);
  const auto late = must(db.overdue(new_year_us + 20, 100));
  REQUIRE(late.jobs.size() == 2);
  CHECK(late.jobs[0].id == job_number(2));
  CHECK(late.jobs[1].id == job_number(1));
  CHECK(late.next_us == new_year_us + 30);
  CHECK(must(db.overdue(new_year_us + 9, 100)).jobs.empty());
  CHECK(must(db.overdue(new_year_us + 30, 1)).jobs.size() == 1);

  auto waking = must(db.waking({}, new_year_us + 100, 1));
  REQUIRE(waking.size() == 1);
  CHECK(waking[0].id == job_number(4));
  CHECK(waking[0].cls == job_class::normal);
  waking = must(db.waking(waking[0], new_year_us + 100, 10));
  REQUIRE(waking.size() == 1);
  CHECK(waking[0].id == job_number(3));
  CHECK(waking[0].deadline_us == new_year_us + 30);
  finish(db, job_number(3));
  CHECK(must(db.waking({}, new_year_us + 100, 10)).size() == 1);
}

TEST_CASE("a dead job can be queued again, once, and then is as new", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  auto job = some_job(1);
  job.key = "key";
  must(db.accept(std::array{job}));
  auto facts = db.begin();
  must(facts.append_output(job.id, 0, std::array<std::uint32_t, 1>{5}, "text"));
  must(facts.set_running(job.id, new_year_us + 1));
  CHECK(must(facts.count_crash(job.id)) == 1);
  CHECK(facts.revive(job.id).code() == errc::invalid);
  must(facts.finish(job.id, job_state::dead, new_year_us + 9, "{}", "died"));
  must(facts.commit(durability::synced));
  REQUIRE(must(db.dead(std::nullopt, 10)).size() == 1);
  must(facts.revive(job.id));
  must(facts.commit(durability::synced));
  const auto now = must(db.find(job.id));
  CHECK(now.state == job_state::queued);
  CHECK(now.attempts == 0);
  CHECK(now.error.empty());
  CHECK(must(db.dead(std::nullopt, 10)).empty());
  CHECK(must(db.open_jobs(std::nullopt, 10)).size() == 1);
  CHECK(must(db.position(job.id)).tokens == 0);
  CHECK(must(db.find_by_key("ann", "key", new_year_us)).job == job.id);
  CHECK(db.totals() == must(db.recount()));
  CHECK(facts.revive(job.id).code() == errc::invalid);
}

TEST_CASE("text behind a place is dropped and the tokens stay", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  must(db.accept(std::array{some_job(1)}));
  const auto id = job_number(1);
  auto facts = db.begin();
  must(facts.append_output(id, 0, std::array<std::uint32_t, 2>{1, 2}, "ab"));
  must(facts.append_output(id, 2, std::array<std::uint32_t, 1>{3}, "cd"));
  must(facts.append_output(id, 3, std::array<std::uint32_t, 1>{4}, ""));
  must(facts.append_output(id, 4, {}, "e"));
  must(facts.commit(durability::written));
  SECTION("within a row") {
    must(facts.trim_output(id, 3));
    must(facts.commit(durability::written));
    CHECK(must(db.output_text(id, 0, 100)) == "abc");
    CHECK(must(db.position(id)) == output_position{4, 3});
    must(facts.append_output(id, 4, std::array<std::uint32_t, 1>{9}, "xyz"));
    must(facts.commit(durability::written));
    CHECK(must(db.output_text(id, 0, 100)) == "abcxyz");
    std::vector<std::uint32_t> tokens;
    for (const auto& row : must(db.output(id)))
      tokens.insert(tokens.end(), row.tokens.begin(), row.tokens.end());
    CHECK(tokens == std::vector<std::uint32_t>{1, 2, 3, 4, 9});
  }
  SECTION("nothing to drop") {
    must(facts.trim_output(id, 5));
    must(facts.commit(durability::written));
    CHECK(must(db.output_text(id, 0, 100)) == "abcde");
  }
  SECTION("more than there is") { CHECK(facts.trim_output(id, 6).code() == errc::invalid); }
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("a piece of output tells the tokens that begin in it", "[store][jobs]") {
  const scratch_folder folder;
  jobs_db db(folder.path());
  must(db.accept(std::array{some_job(1)}));
  const auto id = job_number(1);
  auto facts = db.begin();
  must(facts.append_output(id, 0, std::array<std::uint32_t, 1>{1}, ""));
  must(facts.append_output(id, 1, std::array<std::uint32_t, 2>{2, 3}, "ab"));
  must(facts.append_output(id, 3, std::array<std::uint32_t, 1>{4}, "cd"));
  must(facts.commit(durability::written));
  CHECK(must(db.output_piece_at(id, 0, 100)).n_tokens == 4);
  CHECK(must(db.output_piece_at(id, 0, 100)).text == "abcd");
  CHECK(must(db.output_piece_at(id, 2, 100)).n_tokens == 1);
  CHECK(must(db.output_piece_at(id, 1, 100)).text == "bcd");
  CHECK(must(db.output_piece_at(id, 1, 100)).n_tokens == 1);
  CHECK(must(db.output_piece_at(id, 4, 100)).text.empty());
}
