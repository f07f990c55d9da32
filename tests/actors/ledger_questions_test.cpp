// SPDX-License-Identifier: MIT
#include "tests/actors/ledger_fixture.h"

#include <catch2/catch.hpp>

#include <set>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

TEST_CASE_METHOD(ledger_fixture, "a job's state is told from acceptance to the end",
                 "[actors][ledger]") {
  tell(aut, credit_atom_v, 5u);
  admit(make(1));
  CHECK(status(1)["state"] == "queued");
  miss_all();
  tell(aut, running_atom_v, id_of(1));
  CHECK(status(1)["state"] == "running");
  CHECK(status(1)["started_us"] == to_wall_us(time->wall()));
  finish(1, "broke", job_state::failed);
  CHECK(status(1)["state"] == "failed");
  CHECK(status(1)["error"]["msg"] == "broke");
  CHECK(status(2)["error"] == "E_NO_JOB");
}

TEST_CASE_METHOD(ledger_fixture, "output is written in order and its reader hears of it",
                 "[actors][ledger]") {
  admit(make(1));
  tell(aut, output{id_of(1), 0, {5, 6}, "ab", 0});
  CHECK(responder_in.count<written_atom, job_id>() == 1);
  CHECK(jobs->output_text(id_of(1), 0, 100).ok());
  CHECK(*jobs->output_text(id_of(1), 0, 100) == "ab");
  tell(aut, output{id_of(1), 2, {7}, "c", 0});
  CHECK(*jobs->output_text(id_of(1), 0, 100) == "abc");
  // An answer that failed its checks is drawn anew, from the first token, and with another seed.
  tell(aut, redrawn_atom_v, id_of(1), std::uint64_t{77}, 1u);
  tell(aut, output{id_of(1), 0, {9}, "x", 0});
  CHECK(read_options(jobs->find(id_of(1))->options)->sampling.seed == 77);
  CHECK(read_options(jobs->find(id_of(1))->options)->retries == 1);
  CHECK(*jobs->output_text(id_of(1), 0, 100) == "x");
  CHECK(responder_in.count<written_atom, job_id>() == 3);
}

TEST_CASE_METHOD(ledger_fixture, "output reaches the disk every 32 tokens, and after two seconds",
                 "[actors][ledger]") {
  admit(make(1));
  const auto before = commits();
  for (std::uint32_t i = 0; i < 31; ++i)
    tell(aut, output{id_of(1), i, {5}, "a", 0});
  CHECK(commits() == before);
  tell(aut, output{id_of(1), 31, {5}, "a", 0});
  CHECK(commits() == before + 1);
  pass(seconds{3});
  tell(aut, output{id_of(1), 32, {5}, "a", 0});
  CHECK(commits() == before + 2);
}

TEST_CASE_METHOD(ledger_fixture, "whoever waits for a result gets it, or the state when time is up",
                 "[actors][ledger]") {
  maker.what.durable = GENERATE(true, false);
  admit(make(1));
  auto patient = ask(1, "patient"), hasty = ask(1, "hasty");
  patient.wait = milliseconds{60000};
  hasty.wait = milliseconds{500};
  tell(aut, result_atom_v, patient);
  tell(aut, result_atom_v, hasty);
  tell(aut, result_atom_v, ask(1, "now"));
  CHECK(document("now")["jobs"][0]["state"] == "queued");
  pass(milliseconds{700});
  CHECK(told("hasty").document()->type == "status");
  CHECK(told("patient").all.empty());
  finish(1, "worth it");
  CHECK(document("patient")["text"] == "worth it");
  CHECK(told("hasty").ends == 1);
}

TEST_CASE_METHOD(ledger_fixture,
                 "the result of a job that is not durable is kept for ten minutes "
                 "where it may be asked for",
                 "[actors][ledger]") {
  maker.what.durable = false;
  SECTION("mode job") {
    admit(make(1));
    finish(1, "kept");
    pass(seconds{599});
    tell(aut, result_atom_v, ask(1));
    CHECK(document()["text"] == "kept");
    pass(seconds{2});
    tell(aut, result_atom_v, ask(1, "q2"));
    CHECK(document("q2")["error"] == "E_NO_JOB");
  }
  SECTION("a stream without a key was answered") {
    maker.what.mode = reply_mode::stream;
    admit(make(1));
    finish(1, "gone");
    tell(aut, result_atom_v, ask(1));
    CHECK(document()["error"] == "E_NO_JOB");
  }
  SECTION("a stream with a key may be repeated") {
    maker.what.mode = reply_mode::stream;
    maker.what.key = "k";
    admit(make(1));
    finish(1, "kept");
    tell(aut, result_atom_v, ask(1));
    CHECK(document()["text"] == "kept");
  }
}

TEST_CASE_METHOD(ledger_fixture, "a list goes page by page through every job once",
                 "[actors][ledger]") {
  for (std::uint8_t n = 1; n <= 7; ++n)
    admit(make(n));
  finish(3);
  std::set<std::string> seen;
  std::string cursor;
  int pages = 0;
  do {
    query what = ask(0, "page " + std::to_string(++pages));
    what.jobs.clear();
    what.limit = 3;
    what.cursor = cursor;
    tell(aut, list_atom_v, what);
    const auto page = document(what.reply_to.tag);
    CHECK(page["jobs"].size() <= 3);
    for (const auto& one : page["jobs"])
      CHECK(seen.insert(one["job"]).second);
    cursor = page.value("cursor", "");
  } while (!cursor.empty() && pages < 10);
  CHECK(seen.size() == 7);

  query done = ask(0, "done");
  done.states = {job_state::done};
  tell(aut, list_atom_v, done);
  REQUIRE(document("done")["jobs"].size() == 1);
  CHECK(document("done")["jobs"][0]["job"] == id_of(3).text());

  query foreign = ask(0, "foreign");
  foreign.principal = "mallory";
  tell(aut, list_atom_v, foreign);
  CHECK(document("foreign")["jobs"].empty());
}

TEST_CASE_METHOD(ledger_fixture, "the items of a batch are listed with their states",
                 "[actors][ledger]") {
  maker.what.durable = GENERATE(true, false);
  const bool durable = maker.what.durable;
  tell(aut, admit_atom_v, make_batch(10, 3));
  finish(11);
  query what = ask(0);
  what.batch = id_of(10);
  tell(aut, list_atom_v, what);
  CHECK(document()["jobs"].size() == (durable ? 3u : 2u)); // ended items of others are not kept
  CHECK(document()["jobs"].back()["index"] == 2);
  CHECK(status(10)["children"]["done"] == 1);
}

TEST_CASE_METHOD(ledger_fixture, "an acknowledged result is gone when ok is said",
                 "[actors][ledger]") {
  maker.what.durable = GENERATE(true, false);
  admit(make(1));
  tell(aut, ack_atom_v, ask(1, "early"));
  CHECK(told("early").error_name() == "E_FIELD");
  finish(1);
  tell(aut, ack_atom_v, ask(1));
  CHECK(document()["state"] == "done");
  CHECK(status(1)["error"] == "E_NO_JOB");
  CHECK_FALSE(jobs->find(id_of(1)).ok());
}

TEST_CASE_METHOD(ledger_fixture, "the end of a durable job is told after it is on disk",
                 "[actors][ledger]") {
  admit(make(1));
  job_end end;
  end.id = id_of(1);
  end.durable = end.has_reply = true;
  auto result = std::make_shared<reply_result>();
  end.result = result;
  end.out.to = {0, "peer", "end", false};
  end.out.what = result_ptr{result};
  caf::anon_send(aut, ended_atom_v, std::move(end));
  while (run.try_run_once())
    if (told("end").ends > 0)
      CHECK(jobs->find(id_of(1))->state == job_state::done);
  CHECK(told("end").ends == 1);
}

TEST_CASE_METHOD(ledger_fixture, "what has passed its retention is removed", "[actors][ledger]") {
  maker.what.result_ttl = seconds{60};
  admit(make(1));
  finish(1);
  pass(seconds{59});
  CHECK(jobs->find(id_of(1)).ok());
  pass(seconds{2});
  CHECK_FALSE(jobs->find(id_of(1)).ok());
}

TEST_CASE_METHOD(ledger_fixture, "the number of jobs on their way is known for a drain",
                 "[actors][ledger]") {
  const auto count = [&] { return question<std::uint64_t>(aut, count_atom_v); };
  CHECK(count() == 0);
  admit(make(1));
  miss_all();
  maker.what.durable = false;
  admit(make(2));
  CHECK(count() == 2);
  finish(1);
  finish(2);
  CHECK(count() == 0);
}
