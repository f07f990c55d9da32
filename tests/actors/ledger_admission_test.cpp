// SPDX-License-Identifier: MIT
#include "tests/actors/ledger_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

TEST_CASE_METHOD(ledger_fixture, "accepted is said after the commit, not before",
                 "[actors][ledger]") {
  caf::anon_send(aut, admit_atom_v, std::vector<job>{make(1)});
  REQUIRE(run.try_run_once()); // the ledger takes the job; its commit waits in the mailbox
  while (outbox.count<reply>() == 0 && jobs->find(id_of(1)).why().code() == store::errc::not_found)
    if (!run.try_run_once())
      break;
  CHECK(jobs->find(id_of(1)).ok());
  run.run();
  const auto said = told("r");
  REQUIRE(said.accepted);
  CHECK(said.accepted->durable);
  CHECK(said.accepted->fsync);
  CHECK(said.released_jobs == 1); // the disk has it: the front stops counting
  CHECK(responder_in.count<open_atom, job>() == 1);
  CHECK(cache_in.count<probe_atom, job>() == 1);
}

TEST_CASE_METHOD(ledger_fixture, "many jobs that come together share one sync",
                 "[actors][ledger]") {
  for (std::uint8_t n = 1; n <= 50; ++n)
    caf::anon_send(aut, admit_atom_v, std::vector<job>{make(n, "r" + std::to_string(n))});
  run.run();
  for (int n = 1; n <= 50; ++n)
    CHECK(told("r" + std::to_string(n)).accepted.has_value());
  CHECK(commits() == 1);
  CHECK(metric("bitnetd_journal_facts_total") == 50);
}

TEST_CASE_METHOD(ledger_fixture, "a job that is not durable passes without a write",
                 "[actors][ledger]") {
  maker.what.durable = false;
  maker.what.mode = reply_mode::stream;
  admit(make(1));
  REQUIRE(told("r").accepted);
  CHECK_FALSE(told("r").accepted->durable);
  CHECK(told("r").released_jobs == 0); // still counted: its end releases
  CHECK(cache_in.count<lookup_atom, job>() == 1);
  CHECK(commits() == 0);
  CHECK(jobs->totals().jobs == 0);
}

TEST_CASE_METHOD(ledger_fixture, "a sync job hears nothing before its result", "[actors][ledger]") {
  maker.what.mode = reply_mode::sync;
  maker.what.durable = GENERATE(false, true);
  admit(make(1));
  CHECK(told("r").all.empty());
  CHECK(cache_in.count<lookup_atom, job>() + cache_in.count<probe_atom, job>() == 1);
}

TEST_CASE_METHOD(ledger_fixture, "a repeated key gives the first job again", "[actors][ledger]") {
  maker.what.key = "k";
  maker.what.durable = GENERATE(true, false);
  const bool durable = maker.what.durable;
  admit(make(1));
  auto again = make(2, "again");
  auto same = *again.what;
  same.items[0].text = "prompt 1";
  same.body = body_of(same);
  same.fingerprint = hash_bytes(same.body);
  again.what = std::make_shared<const request>(same);
  admit(again);
  REQUIRE(told("again").accepted);
  CHECK(told("again").accepted->duplicate);
  CHECK(told("again").accepted->job == id_of(1));
  CHECK(told("again").released_jobs == 1);
  CHECK(responder_in.count<open_atom, job>() == 1);

  // Another request under the same key is refused.
  admit(make(3, "other"));
  CHECK(told("other").error_name() == "E_KEY_CONFLICT");
  CHECK(told("other").released_jobs == 1);

  // One that waits is told the end; after the end, at once.
  same.mode = reply_mode::sync;
  same.reply_to.tag = "waits";
  again.what = std::make_shared<const request>(same);
  admit(again);
  CHECK(told("waits").all.empty());
  finish(1, "the answer");
  CHECK(document("waits")["text"] == "the answer");
  CHECK(told("waits").released_jobs == 1);
  same.reply_to.tag = "late";
  again.what = std::make_shared<const request>(same);
  admit(again);
  CHECK(document("late")["text"] == "the answer");
  CHECK(durable == jobs->find(id_of(1)).ok());
}

TEST_CASE_METHOD(ledger_fixture,
                 "a repeated key is not acknowledged before the first job is on disk",
                 "[actors][ledger]") {
  maker.what.key = "k";
  const auto first = make(1);
  auto second = first;
  second.id = id_of(2);
  auto what = *first.what;
  what.reply_to.tag = "again";
  second.what = std::make_shared<const request>(what);
  caf::anon_send(aut, admit_atom_v, std::vector<job>{first});
  caf::anon_send(aut, admit_atom_v, std::vector<job>{second});
  while (run.try_run_once())
    if (told("again").accepted)
      CHECK(jobs->find(id_of(1)).ok());
  CHECK(told("again").accepted->duplicate);
}

TEST_CASE_METHOD(ledger_fixture, "a key whose job was acknowledged is answered, not left waiting",
                 "[actors][ledger]") {
  maker.what.key = "k";
  maker.what.durable = GENERATE(true, false);
  const bool durable = maker.what.durable;
  admit(make(1));
  finish(1);
  tell(aut, ack_atom_v, ask(1));
  CHECK(document()["state"] == "done");
  maker.what.mode = reply_mode::sync;
  admit([&] {
    auto again = make(2, "again");
    auto same = *again.what;
    same.items[0].text = "prompt 1";
    same.mode = reply_mode::job;
    same.body = body_of(same);
    same.mode = reply_mode::sync;
    same.fingerprint = hash_bytes(same.body);
    again.what = std::make_shared<const request>(same);
    return again;
  }());
  if (durable) // the key outlives the job, so that it cannot run twice
    CHECK(told("again").error_name() == "E_NO_JOB");
  else
    CHECK(responder_in.count<open_atom, job>() == 2);
}

TEST_CASE_METHOD(ledger_fixture, "an item that cannot run ends by itself; the batch is accepted",
                 "[actors][ledger]") {
  auto batch = make_batch(10, 3);
  batch[2].how = nullptr;
  batch[2].refused = failure{142, "E_CTX", "too long", {}, {}, {}};
  tell(aut, admit_atom_v, batch);
  CHECK(told("r").accepted->children == 3);
  CHECK(told("r").released_jobs == 3);
  CHECK(cache_in.count<probe_atom, job>() == 2);
  CHECK(std::get<1>(responder_in.last<failed_atom, job_id, failure, std::vector<trace_entry>>()) ==
        id_of(12));
  CHECK(jobs->children(id_of(10))->size() == 3);
}
