// SPDX-License-Identifier: MIT
#include "store/answers_db.h"
#include "store/answers_impl.h"
#include "tests/store/child_process.h"
#include "tests/store/store_support.h"

#include <catch2/catch.hpp>

#include <array>
#include <csignal>
#include <fstream>
#include <map>
#include <set>

using namespace bitnetd;
using namespace bitnetd::store;
using namespace bitnetd::tests;
namespace fs = std::filesystem;

namespace {

const hash128 partition_a = hash_bytes("partition a");
const hash128 partition_b = hash_bytes("partition b");

cache_entry some_entry(std::uint64_t id, const std::string& request,
                       const hash128& partition = partition_a) {
  cache_entry entry;
  entry.id = id;
  entry.partition = partition;
  entry.canonical = "canonical form of " + request;
  entry.key = hash_bytes(entry.canonical);
  entry.prompt = request;
  entry.answer = {"answer to " + request, "stop", {1, 2, 3}, 12, 3, "tiny"};
  entry.created_us = new_year_us;
  entry.expires_us = new_year_us + hour_us;
  entry.cost_ms = 250;
  entry.owner = hash_bytes("somebody");
  entry.vector = quantized_vector{0.01f, {1, -2, 3, -4}};
  entry.embedder = hash_bytes("embedder");
  entry.tags = {"news"};
  entry.last_used_us = new_year_us;
  return entry;
}

cache_entry fresh_entry(answers_db& db, const std::string& request,
                        const hash128& partition = partition_a) {
  return some_entry(must(db.next_id()), request, partition);
}

std::vector<erased_entry> put_one(answers_db& db, const cache_entry& entry) {
  return must(db.put(std::array{entry}));
}

std::map<std::uint64_t, cache_entry_head> all_heads(const answers_db& db) {
  std::map<std::uint64_t, cache_entry_head> out;
  CHECK(must(db.for_each([&](const cache_entry_head& head) {
          CHECK(out.emplace(head.id, head).second);
          return true;
        })) == 0);
  return out;
}

} // namespace

TEST_CASE("a stored answer is found by its request and by its id", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  CHECK(db.wiped().empty());
  auto entry = fresh_entry(db, "what is a ternary weight?");
  CHECK(put_one(db, entry).empty());
  CHECK(must(db.get(entry.id)) == entry);

  const auto hit = must(db.get_exact(entry.partition, entry.key, entry.canonical));
  CHECK(hit.id == entry.id);
  CHECK(hit.answer == entry.answer);
  CHECK(hit.expires_us == entry.expires_us);
  CHECK(hit.owner == entry.owner);

  CHECK(db.get_exact(partition_b, entry.key, entry.canonical).why().code() == errc::not_found);
  CHECK(db.get_exact(partition_a, hash_bytes("x"), "x").why().code() == errc::not_found);
  CHECK(db.get(entry.id + 1).why().code() == errc::not_found);
}

TEST_CASE("a hash finds, the stored bytes decide", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  const auto entry = fresh_entry(db, "one");
  (void)put_one(db, entry);
  CHECK(db.get_exact(partition_a, entry.key, "another request with the same hash").why().code() ==
        errc::not_found);
}

TEST_CASE("an entry without vector, tokens or tags is as good", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  auto entry = fresh_entry(db, "exact only");
  entry.vector.reset();
  entry.embedder = {};
  entry.answer.tokens.clear();
  entry.tags.clear();
  entry.prompt.clear();
  (void)put_one(db, entry);
  CHECK(must(db.get(entry.id)) == entry);
  CHECK_FALSE(all_heads(db).at(entry.id).vector);
}

TEST_CASE("a second answer to a request takes the place of the first", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  const auto first = fresh_entry(db, "same");
  auto second = fresh_entry(db, "same");
  second.answer.text = "a better answer";
  (void)put_one(db, first);
  const auto replaced = put_one(db, second);
  CHECK(replaced == std::vector{erased_entry{first.id, partition_a}});
  CHECK(db.get(first.id).why().code() == errc::not_found);
  CHECK(must(db.get_exact(partition_a, first.key, first.canonical)).id == second.id);
  CHECK(db.totals().entries == 1);

  const auto third = fresh_entry(db, "same"), fourth = fresh_entry(db, "same");
  const auto out = must(db.put(std::array{third, fourth})); // both in one write
  CHECK(out.size() == 2);
  CHECK(must(db.get_exact(partition_a, first.key, first.canonical)).id == fourth.id);
  CHECK(db.get(third.id).why().code() == errc::not_found);
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("what breaks a bound is refused and nothing of the group is stored", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  const auto good = fresh_entry(db, "good");
  const auto refused = [&](auto&& change, errc code = errc::invalid) {
    auto bad = fresh_entry(db, "bad");
    change(bad);
    const auto outcome = db.put(std::array{good, bad});
    return !outcome && outcome.why().code() == code && db.totals().entries == 0;
  };
  CHECK(refused([](cache_entry& e) { e.id = 0; }));
  CHECK(refused([](cache_entry& e) { e.id += 1'000'000; }));
  CHECK(refused([](cache_entry& e) { e.expires_us = e.created_us - 1; }));
  CHECK(refused([](cache_entry& e) { e.created_us = -1; }));
  CHECK(refused([](cache_entry& e) { e.tags.assign(17, "t"); }));
  CHECK(refused([](cache_entry& e) { e.tags = {std::string(65, 't')}; }));
  CHECK(refused([](cache_entry& e) { e.vector->values.clear(); }));
  CHECK(refused([](cache_entry& e) { e.vector->values.assign(max_dimension + 1, 1); }));
  CHECK(refused([](cache_entry& e) { e.answer.text.assign((64 << 20) + 1, 'x'); }));
  (void)put_one(db, good);
  CHECK(db.put(std::array{good}).why().code() == errc::exists);
}

TEST_CASE("ids rise over restarts, crashes and wipes", "[store][answers]") {
  const scratch_folder folder;
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    answers_db db(folder.path());
    for (int i = 0; i < 3; ++i) {
      const auto id = must(db.next_id());
      CHECK(id > last);
      CHECK((last == 0 || round == 0 || i > 0 || id == last + 1)); // a clean stop leaves no gap
      last = id;
    }
  }
  CHECK(last < (std::uint64_t{1} << 53)); // JSON keeps it exact
  fs::remove_all(folder.path());
  answers_db db(folder.path());
  CHECK(must(db.next_id()) > last);
}

TEST_CASE("everything needed for the indexes comes back at the start", "[store][answers]") {
  const scratch_folder folder;
  std::map<std::uint64_t, cache_entry> stored;
  {
    answers_db db(folder.path());
    for (int i = 0; i < 40; ++i) {
      auto entry = fresh_entry(db, std::to_string(i), i % 2 == 0 ? partition_a : partition_b);
      if (i % 5 == 0)
        entry.vector.reset();
      (void)put_one(db, entry);
      stored[entry.id] = entry;
    }
  }
  const answers_db db(folder.path());
  CHECK(db.wiped().empty());
  const auto heads = all_heads(db);
  REQUIRE(heads.size() == 40);
  std::uint64_t bytes = 0;
  for (const auto& [id, head] : heads) {
    const auto& entry = stored.at(id);
    CHECK(head.partition == entry.partition);
    CHECK(head.key == entry.key);
    CHECK(head.embedder == entry.embedder);
    CHECK(head.vector == entry.vector);
    CHECK(head.expires_us == entry.expires_us);
    CHECK(head.cost_ms == entry.cost_ms);
    CHECK(head.owner == entry.owner);
    bytes += head.bytes;
  }
  CHECK(db.totals() == answer_totals{40, bytes});
  CHECK(db.totals() == must(db.recount()));

  std::vector<hash128> order;
  (void)must(db.for_each([&](const cache_entry_head& head) {
    if (order.empty() || order.back() != head.partition)
      order.push_back(head.partition);
    return order.size() < 3;
  }));
  CHECK(order.size() == 2); // partition by partition
}

TEST_CASE("touches add up and outlive a restart", "[store][answers]") {
  const scratch_folder folder;
  std::uint64_t id = 0;
  {
    answers_db db(folder.path());
    const auto entry = fresh_entry(db, "popular");
    id = entry.id;
    (void)put_one(db, entry);
    must(db.touch(std::array{cache_touch{id, 2, new_year_us + 5}, cache_touch{id, 1, new_year_us},
                             cache_touch{id + 1, 9, new_year_us}})); // the last is unknown
    must(db.touch(std::array{cache_touch{id, UINT32_MAX, new_year_us}}));
    CHECK(db.totals() == must(db.recount()));
  }
  const answers_db db(folder.path());
  CHECK(must(db.get(id)).hits == UINT32_MAX); // no wrap
  CHECK(must(db.get(id)).last_used_us == new_year_us + 5);
}

TEST_CASE("an erased entry is gone from every tier", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  const auto kept = fresh_entry(db, "kept"), gone = fresh_entry(db, "gone");
  (void)must(db.put(std::array{kept, gone}));
  const auto erased = must(db.erase(std::array{gone.id, gone.id, gone.id + 7}));
  CHECK(erased == std::vector{erased_entry{gone.id, partition_a}});
  CHECK(db.get(gone.id).why().code() == errc::not_found);
  CHECK(db.get_exact(partition_a, gone.key, gone.canonical).why().code() == errc::not_found);
  CHECK(all_heads(db).count(gone.id) == 0);
  CHECK(must(db.get(kept.id)) == kept);
  CHECK(db.totals() == must(db.recount()));
  (void)must(db.erase(std::array{kept.id}));
  CHECK(db.totals() == answer_totals{});
}

TEST_CASE("entries expire in the order of their times", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  std::vector<cache_entry> entries;
  for (int i = 0; i < 6; ++i) {
    entries.push_back(fresh_entry(db, std::to_string(i)));
    entries.back().expires_us = new_year_us + (6 - i) * second_us; // the last put first
  }
  (void)must(db.put(entries));
  CHECK(must(db.expire(new_year_us + second_us - 1, 100)).empty());
  const auto soonest = must(db.expire(new_year_us + 5 * second_us, 2));
  REQUIRE(soonest.size() == 2);
  CHECK(soonest[0].id == entries[5].id);
  CHECK(soonest[1].id == entries[4].id);
  CHECK(must(db.expire(new_year_us + 5 * second_us, 100)).size() == 3);
  CHECK(must(db.get(entries[0].id)) == entries[0]);
  CHECK(db.totals() == must(db.recount()));
  // Until it is swept an expired entry is still returned: max-stale is the caller's decision.
  CHECK(must(db.get_exact(partition_a, entries[0].key, entries[0].canonical)).expires_us ==
        new_year_us + 6 * second_us);
}

TEST_CASE("eviction keeps under the bytes what saves most", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  std::vector<cache_entry> entries;
  for (int i = 0; i < 400; ++i) {
    entries.push_back(fresh_entry(db, std::to_string(i)));
    entries.back().cost_ms = i % 2 == 0 ? 5 : 5000;
    if (i % 10 == 9)
      entries.back().expires_us = new_year_us + 1; // an expensive one that has expired
  }
  (void)must(db.put(entries));
  const auto before = db.totals().bytes;
  CHECK(must(db.evict_to(before, new_year_us)).empty());
  const auto evicted = must(db.evict_to(before / 2, new_year_us + second_us));
  CHECK(db.totals().bytes <= before / 2);
  CHECK(db.totals().bytes > before / 2 - 2000); // and not more than needed
  CHECK(db.totals() == must(db.recount()));
  CHECK(db.totals().entries + evicted.size() == 400);

  // Of 200 to go, 40 have expired and 200 are cheap. The worst of 16 drawn is right nearly always,
  // so about 40 cheap ones stay; evicting blindly would leave 20 expired and 100 cheap ones.
  const auto left = all_heads(db);
  std::size_t expired = 0, cheap = 0;
  for (const auto& [id, head] : left) {
    expired += head.expires_us == new_year_us + 1 ? 1u : 0u;
    cheap += head.cost_ms == 5 ? 1u : 0u;
  }
  CHECK(expired <= 5);
  CHECK(cheap <= 75);
  std::set<std::uint64_t> gone;
  for (const auto& one : evicted) {
    CHECK(gone.insert(one.id).second);
    CHECK(left.count(one.id) == 0);
  }
  CHECK(must(db.evict_to(0, new_year_us)).size() == left.size());
  CHECK(db.totals() == answer_totals{});
}

TEST_CASE("child: puts answers and dies", "[.child]") {
  answers_db db(child_folder());
  for (int i = 0; i < 20; ++i) {
    const auto entry = fresh_entry(db, std::to_string(i));
    (void)put_one(db, entry);
    report(entry.id);
  }
  die(); // without sync()
}

TEST_CASE("an answer survives kill -9 as soon as put has returned", "[store][answers][crash]") {
  const scratch_folder folder;
  child_process child("child: puts answers and dies", folder.path());
  CHECK(child.wait() == 128 + SIGKILL);
  std::vector<std::uint64_t> ids(20);
  for (auto& id : ids)
    REQUIRE(child.next_report(id));
  answers_db db(folder.path());
  CHECK(db.wiped().empty());
  for (int i = 0; i < 20; ++i) {
    const auto expected = some_entry(ids[static_cast<std::size_t>(i)], std::to_string(i));
    CHECK(must(db.get(expected.id)) == expected);
    CHECK(must(db.get_exact(partition_a, expected.key, expected.canonical)).id == expected.id);
  }
  CHECK(db.totals() == must(db.recount()));
  CHECK(must(db.next_id()) > ids.back());
  must(db.sync());
}

TEST_CASE("a damaged cache is wiped, says so, and works", "[store][answers][crash]") {
  const scratch_folder folder;
  std::uint64_t last_id = 0;
  {
    child_process child("child: puts answers and dies", folder.path());
    CHECK(child.wait() == 128 + SIGKILL);
    while (child.next_report(last_id))
      ;
  }
  SECTION("a byte of its log") {
    const auto log = write_ahead_log(folder.path());
    std::fstream stream(log, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(fs::file_size(log) / 2));
    stream.write("garbage", 7);
  }
  SECTION("CURRENT is empty") { std::ofstream(folder.path() / "CURRENT").flush(); }
  SECTION("the manifest is gone") {
    for (const auto& file : fs::directory_iterator(folder.path()))
      if (file.path().filename().string().starts_with("MANIFEST"))
        fs::remove(file.path());
  }
  std::ofstream(folder.path() / "not-ours.txt") << "keep";
  {
    answers_db db(folder.path());
    CHECK_FALSE(db.wiped().empty());
    CHECK(db.totals() == answer_totals{});
    const auto entry = fresh_entry(db, "after");
    CHECK(entry.id > last_id);
    (void)put_one(db, entry);
    CHECK(must(db.get(entry.id)) == entry);
  }
  CHECK(fs::exists(folder.path() / "not-ours.txt")); // only the database's own files went
  const answers_db db(folder.path());
  CHECK(db.wiped().empty());
  CHECK(db.totals().entries == 1);
}

TEST_CASE("a cache of a newer version is refused, not wiped", "[store][answers]") {
  const scratch_folder folder;
  {
    answers_db db(folder.path());
    (void)put_one(db, fresh_entry(db, "one"));
  }
  const database_options options{std::make_shared<const resources>()};
  {
    database raw(folder.path(), answers::columns, options);
    write_batch batch;
    batch.put(raw, answers::sys, answers::schema_key, std::to_string(cache_schema + 1));
    must(raw.write(batch, true));
  }
  try {
    const answers_db db(folder.path());
    FAIL("opened a newer schema");
  } catch (const open_error& error) {
    CHECK(error.code() == errc::newer_schema);
  }
  const database raw(folder.path(), answers::columns, options);
  CHECK(raw.rows(answers::meta).valid()); // it is all still there
}

TEST_CASE("a cache of an older version is made anew and says so", "[store][answers]") {
  const scratch_folder folder;
  {
    answers_db db(folder.path());
    (void)put_one(db, fresh_entry(db, "one"));
  }
  {
    database raw(folder.path(), answers::columns, {std::make_shared<const resources>()});
    write_batch batch;
    batch.put(raw, answers::sys, answers::schema_key, "1");
    must(raw.write(batch, true));
  }
  answers_db db(folder.path());
  CHECK_THAT(db.wiped(), Catch::Contains("schema 1, which is older than"));
  CHECK(db.totals() == answer_totals{});
  (void)put_one(db, fresh_entry(db, "one"));
  CHECK(db.totals().entries == 1);
}

TEST_CASE("a cache that is open elsewhere is refused, not wiped", "[store][answers]") {
  const scratch_folder folder;
  answers_db db(folder.path());
  (void)put_one(db, fresh_entry(db, "one"));
  try {
    const answers_db second(folder.path());
    FAIL("opened twice");
  } catch (const open_error& error) {
    CHECK(error.code() == errc::locked);
  }
  CHECK(db.totals() == must(db.recount()));
}

TEST_CASE("a damaged entry is a miss, can be erased, and leaves the totals right",
          "[store][answers]") {
  const scratch_folder folder;
  cache_entry bad_answer, bad_meta, good;
  {
    answers_db db(folder.path());
    bad_answer = fresh_entry(db, "bad answer");
    bad_meta = fresh_entry(db, "bad meta");
    good = fresh_entry(db, "good");
    (void)must(db.put(std::array{bad_answer, bad_meta, good}));
  }
  {
    database raw(folder.path(), answers::columns, {std::make_shared<const resources>()});
    const auto spoil = [&](std::size_t column, const std::string& key) {
      auto value = must(raw.get(column, key));
      value[5] = static_cast<char>(value[5] ^ 1);
      write_batch batch;
      batch.put(raw, column, key, value);
      must(raw.write(batch, true));
    };
    spoil(answers::resp, answers::id_key(bad_answer.id));
    spoil(answers::meta, answers::entry_key(partition_a, bad_meta.id));
  }
  answers_db db(folder.path());
  CHECK(db.get(bad_answer.id).why().code() == errc::corrupt);
  CHECK(db.get_exact(partition_a, bad_meta.key, bad_meta.canonical).why().code() == errc::corrupt);
  CHECK(must(db.for_each([](const cache_entry_head&) { return true; })) == 1);
  CHECK(must(db.erase(std::array{bad_answer.id, bad_meta.id})).size() == 2);
  CHECK(db.get(bad_meta.id).why().code() == errc::not_found);
  CHECK(db.get_exact(partition_a, bad_meta.key, bad_meta.canonical).why().code() ==
        errc::not_found);
  CHECK(db.totals() == must(db.recount()));
  CHECK(db.totals().entries == 1);

  (void)put_one(db, fresh_entry(db, "bad meta")); // the request can be stored again
  CHECK(must(db.expire(new_year_us + 2 * hour_us, 100)).size() == 2);
  CHECK(db.totals() == must(db.recount()));
  CHECK(db.totals() == answer_totals{});
}

TEST_CASE("both databases share one block cache and its bounds", "[store][answers]") {
  const scratch_folder folder;
  const auto shared = std::make_shared<const resources>(resource_limits{8 << 20, 4 << 20, 1 << 20});
  answers_db answers(folder.path() / "answers", {shared});
  jobs_db jobs(folder.path() / "jobs", {shared});
  (void)put_one(answers, fresh_entry(answers, "one"));
  must(jobs.accept(std::array{some_job(1)}));
  CHECK(answers.totals().entries == 1);
  CHECK(jobs.totals().jobs == 1);
  CHECK(shared.use_count() >= 3); // ours, and one in each
}
