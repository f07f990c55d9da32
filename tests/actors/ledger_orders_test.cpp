// SPDX-License-Identifier: MIT
#include "tests/actors/ledger_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

struct orders_fixture : ledger_fixture {
  /// Part n of the batch `number`, whose items get ids from `first` on.
  std::vector<job> make_part(std::uint8_t number, std::uint8_t first, std::size_t n,
                             std::uint32_t part, bool more, const std::string& tag) {
    auto out = make_batch(first, n, tag);
    auto what = std::make_shared<request>(*out[0].what);
    what->part = part;
    what->more = more;
    if (part > 0)
      what->part_of = id_of(number);
    for (std::size_t i = 0; i < n; ++i)
      what->items[i].text = "part " + std::to_string(part) + " item " + std::to_string(i);
    what->body = body_of(*what);
    for (auto& one : out) {
      one.what = what;
      if (one.parent)
        one.parent = id_of(number);
    }
    out[0].id = id_of(number);
    return out;
  }
  void kill_job(std::uint8_t number) {
    admit(make(number));
    miss_all();
    for (int crash = 0; crash < 2; ++crash) {
      tell(aut, running_atom_v, id_of(number));
      restart();
    }
  }
};

} // namespace

TEST_CASE_METHOD(orders_fixture, "a batch comes in parts, each on disk when it is answered",
                 "[actors][ledger][parts]") {
  tell(aut, admit_atom_v, make_part(10, 10, 2, 0, true, "zero"));
  CHECK(told("zero").accepted->job == id_of(10));
  CHECK(told("zero").accepted->part == 0u);
  tell(aut, admit_atom_v, make_part(10, 20, 2, 1, true, "one"));
  CHECK(told("one").accepted->job == id_of(10));
  CHECK(told("one").accepted->part == 1u);
  CHECK(told("one").accepted->fsync);
  CHECK(status(10)["children"]["total"] == 4);
  CHECK(responder_in.count<grow_atom, job_id, std::uint32_t, bool>() == 1);

  SECTION("a part that is sent again adds nothing") {
    tell(aut, admit_atom_v, make_part(10, 30, 2, 1, true, "one again"));
    CHECK(told("one again").accepted->duplicate);
    CHECK(told("one again").released_jobs == 2);
    CHECK(status(10)["children"]["total"] == 4);
  }
  SECTION("a part out of turn is refused and told the next") {
    tell(aut, admit_atom_v, make_part(10, 30, 2, 3, true, "three"));
    REQUIRE(told("three").error() != nullptr);
    CHECK(told("three").error()->why.limit == 2);
  }
  SECTION("after the last part there is no other") {
    tell(aut, admit_atom_v, make_part(10, 30, 1, 2, false, "two"));
    tell(aut, admit_atom_v, make_part(10, 40, 1, 3, false, "three"));
    CHECK(told("three").error_name() == "E_FIELD");
    CHECK(jobs->find(id_of(10))->more == false);
  }
  SECTION("of another principal there is no such batch") {
    maker.what.principal = "mallory";
    tell(aut, admit_atom_v, make_part(10, 30, 2, 2, true, "foreign"));
    CHECK(told("foreign").error_name() == "E_NO_JOB");
  }
  SECTION("after a restart every item has its words, and the batch waits for its last part") {
    restart();
    std::vector<std::string> words;
    for (const auto& [atom, what, id, attempt] :
         analyzer_in.all<recover_atom, request_ptr, job_id, std::uint32_t>())
      words.push_back(what->items.at(0).text);
    CHECK(words == std::vector<std::string>{"part 0 item 0", "part 0 item 1", "part 1 item 0",
                                            "part 1 item 1"});
    const auto opened = std::get<1>(responder_in.all<open_atom, job>().at(0));
    CHECK(opened.more_follows);
    tell(aut, admit_atom_v, make_part(10, 30, 1, 2, false, "two"));
    CHECK(told("two").accepted->part == 2u);
    const auto [atom, id, n, more] = responder_in.last<grow_atom, job_id, std::uint32_t, bool>();
    CHECK(n == 1);
    CHECK_FALSE(more);
  }
  SECTION("a cancel is its last part") {
    tell(aut, cancel_atom_v, ask(10));
    CHECK_FALSE(jobs->find(id_of(10))->more);
  }
}

TEST_CASE_METHOD(orders_fixture, "dead jobs are listed, retried and removed by an operator",
                 "[actors][ledger][orders]") {
  kill_job(1);
  REQUIRE(status(1)["state"] == "dead");
  auto order = ask(1, "list");
  order.principal = "operator";
  order.admin = true;
  order.limit = 10;
  auto all = order;
  all.jobs.clear();
  tell(aut, manage_atom_v, std::string{"dead.list"}, all);
  REQUIRE(document("list")["jobs"].size() == 1);
  CHECK(document("list")["jobs"][0]["job"] == id_of(1).text());

  SECTION("retry: it runs again as if it had never run") {
    order.reply_to.tag = "retry";
    tell(aut, manage_atom_v, std::string{"dead.retry"}, order);
    CHECK(document("retry")["state"] == "queued");
    CHECK(run_again() == std::vector<int>{1});
    CHECK(status(1)["attempt"] == 1);
    tell(aut, manage_atom_v, std::string{"dead.retry"}, order);
    CHECK(told("retry").ends == 2);
    CHECK(told("retry").error_name() == "E_FIELD");
  }
  SECTION("purge: it is gone") {
    all.reply_to.tag = "purge";
    tell(aut, manage_atom_v, std::string{"dead.purge"}, all);
    CHECK(document("purge")["removed"] == 1);
    CHECK(status(1)["error"] == "E_NO_JOB");
  }
  SECTION("only dead jobs are purged") {
    admit(make(2));
    auto alive = order;
    alive.jobs = {id_of(2)};
    alive.reply_to.tag = "alive";
    tell(aut, manage_atom_v, std::string{"dead.purge"}, alive);
    CHECK(told("alive").error_name() == "E_FIELD");
    CHECK(jobs->find(id_of(2)).ok());
    alive.jobs = {id_of(1), id_of(2)}; // one that may not go keeps them all
    tell(aut, manage_atom_v, std::string{"dead.purge"}, alive);
    pass(seconds{1});
    CHECK(told("alive").ends == 2);
    CHECK(jobs->find(id_of(1)).ok());
  }
  SECTION("requeue: its request as a new job of the same principal") {
    order.reply_to.tag = "requeue";
    tell(aut, manage_atom_v, std::string{"job.requeue"}, order);
    const auto what = std::get<1>(analyzer_in.last<submit_atom, request_ptr>());
    CHECK(what->principal == "alice");
    CHECK(what->items.at(0).text == "prompt 1");
    CHECK(what->durable);
    CHECK_FALSE(what->counted);
  }
}

TEST_CASE_METHOD(orders_fixture, "an item of a batch that was dead is requeued alone",
                 "[actors][ledger][orders]") {
  tell(aut, admit_atom_v, make_batch(10, 2));
  miss_all();
  finish(12, "broken", job_state::failed);
  auto order = ask(12, "requeue");
  order.admin = true;
  tell(aut, manage_atom_v, std::string{"job.requeue"}, order);
  // The test's own format of bodies needs its list of items; the daemon's is tested end to end.
  CHECK(told("requeue").error_name() == "E_INTERNAL");
  order.jobs = {id_of(11)};
  order.reply_to.tag = "open";
  tell(aut, manage_atom_v, std::string{"job.requeue"}, order);
  CHECK(told("open").error_name() == "E_FIELD");
}

TEST_CASE_METHOD(orders_fixture,
                 "what runs is put back when a drain's time is up, and goes on after it",
                 "[actors][ledger][orders]") {
  tell(aut, credit_atom_v, 1u);
  maker.what.wait_result = true;
  admit(make(1));
  miss_all();
  tell(aut, running_atom_v, id_of(1));
  tell(aut, output{id_of(1), 0, {5}, "begun", 0});
  tell(aut, park_atom_v);
  CHECK(responder_in.count<lost_atom, job_id>() == 1);
  CHECK(std::get<1>(cache_in.last<cancel_atom, job_id>()) == id_of(1));
  CHECK(status(1)["state"] == "queued");
  CHECK(run_again().empty());
  tell(aut, drain_atom_v, false);
  CHECK(run_again() == std::vector<int>{1});
  CHECK(*jobs->output_text(id_of(1), 0, 100) == "begun"); // it goes on after it
  finish(1, "begun and ended");
  CHECK(document("r")["text"] == "begun and ended"); // who waited is answered
  CHECK(told("r").released_jobs == 1);
}

TEST_CASE_METHOD(orders_fixture, "no new durable job is taken when the disk is nearly full",
                 "[actors][ledger][orders]") {
  config->limits.disk_reserve_bytes = UINT64_MAX;
  tell(aut, configure_atom_v, conf::config_ptr{config});
  pass(seconds{2});
  admit(make(1));
  CHECK(told("r").error_name() == "E_DISK");
  maker.what.durable = false;
  admit(make(2, "soft"));
  CHECK(told("soft").accepted);
  config->limits.disk_reserve_bytes = 0;
  pass(seconds{2});
  maker.what.durable = true;
  admit(make(3, "later"));
  CHECK(told("later").accepted);
}
