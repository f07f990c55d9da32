// SPDX-License-Identifier: MIT
#include "tests/actors/ledger_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

TEST_CASE_METHOD(ledger_fixture, "never more jobs are under way than the window, in order of class",
                 "[actors][ledger]") {
  tell(aut, credit_atom_v, 2u);
  maker.how.cls = job_class::batch;
  for (std::uint8_t n = 1; n <= 3; ++n)
    admit(make(n));
  maker.how.cls = job_class::interactive;
  admit(make(4));
  miss_all();
  CHECK(released() == std::vector<int>{1, 2});
  finish(1);
  CHECK(released() == std::vector<int>{1, 2, 4}); // interactive goes first
  finish(2);
  finish(4);
  CHECK(released() == std::vector<int>{1, 2, 4, 3});
  tell(aut, credit_atom_v, 1u);
  admit(make(5));
  miss_all();
  CHECK(released().size() == 4);
  finish(3);
  CHECK(released().back() == 5);
}

TEST_CASE_METHOD(ledger_fixture, "a hit of the exact tier never waits in the queue",
                 "[actors][ledger]") {
  tell(aut, credit_atom_v, 1u);
  admit(make(1));
  miss_all();
  admit(make(2)); // the window is used up; the cache answers it all the same
  CHECK(cache_in.count<probe_atom, job>() == 2);
  finish(2, "from the cache");
  tell(aut, result_atom_v, ask(2));
  CHECK(document()["text"] == "from the cache");
  CHECK(released() == std::vector<int>{1});
}

TEST_CASE_METHOD(ledger_fixture, "a job that starts no earlier is not even looked up earlier",
                 "[actors][ledger]") {
  maker.what.not_before = time->wall() + seconds{10};
  admit(make(1));
  CHECK(cache_in.count<probe_atom, job>() == 0);
  CHECK(status(1)["state"] == "scheduled");
  pass(seconds{9});
  CHECK(released().empty());
  pass(seconds{2});
  CHECK(released() == std::vector<int>{1});
}

TEST_CASE_METHOD(ledger_fixture,
                 "credit that comes before the others are known releases nothing yet",
                 "[actors][ledger]") {
  maker.what.not_before = time->wall() + seconds{1};
  admit(make(1));
  maker.what.not_before = {};
  admit(make(2));
  miss_all();
  credit_comes_first = true;
  restart(); // 1 becomes due, 2 is released, ticks are due: all before there is anybody to tell
  CHECK(run_again() == std::vector<int>{1, 2});
}

TEST_CASE_METHOD(ledger_fixture, "a deadline that passes while the job waits ends it",
                 "[actors][ledger]") {
  tell(aut, credit_atom_v, 0u);
  maker.what.deadline = milliseconds{500};
  admit(make(1));
  miss_all();
  pass(milliseconds{600});
  const auto [atom, id, why, trace] =
      responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>();
  CHECK(id == id_of(1));
  CHECK(why.name == "E_DEADLINE");
  tell(aut, credit_atom_v, 5u);
  CHECK(released().empty());
}

TEST_CASE_METHOD(ledger_fixture, "a deadline that passed while no process was there ends the job",
                 "[actors][ledger]") {
  maker.what.deadline = milliseconds{500};
  admit(make(1));
  miss_all();
  REQUIRE(released() == std::vector<int>{1});
  tell(aut, running_atom_v, id_of(1));
  maker.what.deadline = seconds{60};
  admit(make(2));
  miss_all();
  die();
  time->advance(seconds{20});
  forget_all();
  start(); // with credit for both, before the first tick
  CHECK(run_again() == std::vector<int>{2});
  const auto [atom, id, why, trace] =
      responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>();
  CHECK(id == id_of(1));
  CHECK(why.name == "E_DEADLINE");
}

TEST_CASE_METHOD(ledger_fixture, "what waits on disk stays there while the daemon stops",
                 "[actors][ledger]") {
  tell(aut, drain_atom_v, true);
  admit(make(1));
  miss_all();
  CHECK(released().empty());
  tell(aut, drain_atom_v, false);
  CHECK(released() == std::vector<int>{1});
}

TEST_CASE_METHOD(ledger_fixture, "a cancel finds the job wherever it is", "[actors][ledger]") {
  const auto failed = [&] {
    return std::get<2>(responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>())
        .name;
  };
  tell(aut, credit_atom_v, 0u);
  SECTION("waiting in memory") {
    admit(make(1));
    miss_all();
    tell(aut, cancel_atom_v, ask(1));
    CHECK(failed() == "E_CANCELLED");
    tell(aut, credit_atom_v, 1u);
    CHECK(released().empty());
  }
  SECTION("waiting on disk only, after a restart") {
    admit(make(1));
    miss_all();
    window = 0;
    restart();
    CHECK(run_again().empty());
    tell(aut, cancel_atom_v, ask(1));
    CHECK(failed() == "E_CANCELLED");
  }
  SECTION("between the cache's two answers") {
    admit(make(1));
    tell(aut, cancel_atom_v, ask(1));
    CHECK(cache_in.count<cancel_atom, job_id>() == 1); // the cache does not hold it any more
    miss_all();
    CHECK(failed() == "E_CANCELLED");
    tell(aut, credit_atom_v, 1u);
    CHECK(released().empty());
  }
  SECTION("released: it follows the job") {
    tell(aut, credit_atom_v, 1u);
    admit(make(1));
    miss_all();
    tell(aut, cancel_atom_v, ask(1));
    CHECK(std::get<1>(cache_in.last<cancel_atom, job_id>()) == id_of(1));
  }
  SECTION("a batch: all that is open of it") {
    tell(aut, admit_atom_v, make_batch(10, 3));
    miss_all();
    finish(11);
    tell(aut, cancel_atom_v, ask(10));
    CHECK(responder_in.count<failed_atom, job_id, failure, std::vector<trace_entry>>() == 2);
  }
  SECTION("another principal's job does not exist") {
    admit(make(1));
    auto foreign = ask(1);
    foreign.principal = "mallory";
    tell(aut, cancel_atom_v, foreign);
    CHECK(document()["error"] == "E_NO_JOB");
    CHECK(cache_in.count<cancel_atom, job_id>() == 0);
    return;
  }
  // The answer has the state that the job came to; a job that does not end is told of after 5 s.
  CHECK(told("q").all.empty());
  pass(seconds{6});
  CHECK(document().contains("state"));
}

TEST_CASE_METHOD(ledger_fixture, "a cancel is answered with the state that the job came to",
                 "[actors][ledger]") {
  maker.what.durable = GENERATE(true, false);
  admit(make(1));
  tell(aut, cancel_atom_v, ask(1));
  CHECK(told("q").all.empty());
  finish(1, "", job_state::cancelled);
  CHECK(document()["state"] == "cancelled");
  CHECK(told("q").ends == 1);
  if (maker.what.durable) {
    tell(aut, cancel_atom_v, ask(1, "again"));
    CHECK(document("again")["state"] == "cancelled");
  }
}

TEST_CASE_METHOD(ledger_fixture, "a job that ended while it waited is not released any more",
                 "[actors][ledger]") {
  tell(aut, credit_atom_v, 1u);
  admit(make(1));
  admit(make(2));
  miss_all();
  REQUIRE(released() == std::vector<int>{1});
  // The end of 2 is decided; before it is on disk, 1 ends and makes room.
  for (const std::uint8_t n : {std::uint8_t{2}, std::uint8_t{1}}) {
    job_end end;
    end.id = id_of(n);
    end.state = job_state::cancelled;
    end.durable = true;
    auto result = std::make_shared<reply_result>();
    result->state = end.state;
    end.result = result;
    caf::anon_send(aut, ended_atom_v, std::move(end));
  }
  run.run();
  CHECK(released() == std::vector<int>{1});
  admit(make(3));
  miss_all();
  CHECK(released() == std::vector<int>{1, 3}); // the window has its place back
}

// ------------------------------------------------------------------ restart

TEST_CASE_METHOD(ledger_fixture, "after a crash what had not ended runs again, what had is kept",
                 "[actors][ledger]") {
  for (std::uint8_t n = 1; n <= 3; ++n)
    admit(make(n));
  miss_all();
  tell(aut, running_atom_v, id_of(2));
  finish(1, "done before");
  restart();
  CHECK(run_again() == std::vector<int>{2, 3});
  const auto [atom, what, id, attempt] =
      analyzer_in.all<recover_atom, request_ptr, job_id, std::uint32_t>()[0];
  CHECK(what->items[0].text == "prompt 2");
  CHECK(attempt == 2);
  tell(aut, result_atom_v, ask(1));
  CHECK(document()["text"] == "done before");

  auto again = make(2);
  again.recovered = true;
  tell(aut, recovered_atom_v, again);
  CHECK(responder_in.count<open_atom, job>() == 1);
  CHECK(released() == std::vector<int>{2});
  finish(2, "at last");
  tell(aut, result_atom_v, ask(2, "q2"));
  CHECK(document("q2")["text"] == "at last");
}

TEST_CASE_METHOD(ledger_fixture, "a job that was running in two crashes is dead",
                 "[actors][ledger]") {
  admit(make(1));
  miss_all();
  tell(aut, running_atom_v, id_of(1));
  restart();
  CHECK(run_again() == std::vector<int>{1});
  tell(aut, running_atom_v, id_of(1));
  restart();
  CHECK(run_again().empty());
  CHECK(status(1)["state"] == "dead");
  tell(aut, result_atom_v, ask(1));
  CHECK(document()["error"]["name"] == "E_INTERNAL");
  restart();
  CHECK(run_again().empty());
}

TEST_CASE_METHOD(ledger_fixture, "an orderly end is no crash: the job is queued again",
                 "[actors][ledger]") {
  admit(make(1));
  miss_all();
  for (int stop = 0; stop < 4; ++stop) {
    tell(aut, running_atom_v, id_of(1));
    close();
    forget_all();
    start();
    CHECK(run_again() == std::vector<int>{1});
  }
  CHECK(status(1)["attempt"] == 1);
}

TEST_CASE_METHOD(ledger_fixture, "a batch continues after a crash with the results it had",
                 "[actors][ledger]") {
  tell(aut, admit_atom_v, make_batch(10, 3));
  miss_all();
  finish(12, "item 1 was done");
  restart();
  CHECK(run_again() == std::vector<int>{11, 13});
  const auto opened = std::get<1>(responder_in.all<open_atom, job>().at(0));
  CHECK(opened.is_parent);
  CHECK(opened.recovered);
  CHECK(opened.what->items.size() == 3);
  CHECK(opened.ended_items == std::vector<std::uint32_t>{1});
  const auto children = status(10)["children"];
  CHECK(children["total"] == 3);
  CHECK(children["done"] == 1);
  const auto what =
      std::get<1>(analyzer_in.all<recover_atom, request_ptr, job_id, std::uint32_t>().at(1));
  CHECK(what->items.at(0).text == "item 2");
  finish(11, "item 0 now");
  finish(13, "broken", job_state::failed);
  finish(10);
  tell(aut, result_atom_v, ask(10));
  const auto items = document()["items"];
  REQUIRE(items.size() == 3);
  CHECK(items[0]["text"] == "item 0 now");
  CHECK(items[1]["text"] == "item 1 was done");
  CHECK(items[2]["error"]["msg"] == "broken");
}

TEST_CASE_METHOD(ledger_fixture, "a journalled job whose model is gone ends, named",
                 "[actors][ledger]") {
  admit(make(1));
  restart();
  failure why;
  why.name = "E_MODEL";
  why.message = "no such model";
  tell(aut, lost_atom_v, id_of(1), why);
  const auto opened = std::get<1>(responder_in.last<open_atom, job>());
  CHECK(opened.id == id_of(1));
  CHECK(opened.recovered);
  CHECK(std::get<2>(responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>())
            .name == "E_MODEL");
}

TEST_CASE_METHOD(ledger_fixture, "a waiting job beyond those kept in memory is read from the disk",
                 "[actors][ledger]") {
  tell(aut, credit_atom_v, 0u);
  constexpr std::uint32_t n = 1100; // 1024 are kept
  for (std::uint32_t i = 1; i <= n; ++i) {
    auto what = make(0);
    what.id.bytes[14] = static_cast<std::uint8_t>(i >> 8);
    what.id.bytes[15] = static_cast<std::uint8_t>(i);
    caf::anon_send(aut, admit_atom_v, std::vector<job>{std::move(what)});
  }
  run.run();
  miss_all();
  CHECK(responder_in.count<lost_atom, job_id>() == n - 1024);
  tell(aut, credit_atom_v, n);
  CHECK(released().size() == 1024);
  CHECK(run_again().size() == n - 1024);
}
