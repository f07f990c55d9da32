// SPDX-License-Identifier: MIT
#include "actors/analyzer.h"
#include "actors/outgoing.h"
#include "actors/responder.h"
#include "tests/actors/ledger_fixture.h"
#include "tests/actors/request_maker.h"
#include "tests/actors/tiny_models.h"

#include <catch2/catch.hpp>

#include <thread>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

template <class... Ts> void add_to(message_group& group, Ts&&... what) {
  group.messages.push_back(caf::make_message(std::forward<Ts>(what)...));
}

std::vector<std::string> tags_of(const stand_in& outbox) {
  std::vector<std::string> out;
  for (const auto& [what] : outbox.all<reply>())
    out.push_back(what.to.tag);
  return out;
}

event event_of(std::string topic) { return {std::move(topic), "{}"}; }

/// Says every event on to the outbox; "late" takes a while.
struct echo_state {
  outgoing<> mail;
  peers_ptr others;
};
using echo_actor = caf::typed_actor<caf::reacts_to<event>, caf::reacts_to<message_group>>;

echo_actor::behavior_type echo(echo_actor::stateful_pointer<echo_state> self,
                               const peers_ptr& others) {
  self->state.others = others;
  return in_groups<echo_actor>(self, self->state.mail, [self](const event& what) {
    if (what.topic == "late")
      std::this_thread::sleep_for(2 * longest_hold);
    self->state.mail.send(self, self->state.others->outbox, what);
  });
}

} // namespace

TEST_CASE_METHOD(actor_fixture, "a group of submits goes on as one, and a bad one refuses itself",
                 "[actors][groups]") {
  const auto aut = spawned(system.spawn(analyzer, time, counters, store::job_id_source{job_id{}}));
  tell(aut, configure_atom_v, conf::config_ptr{std::make_shared<const conf::config>()});
  tell(aut, connect_atom_v, std::make_shared<const peers>(neighbours()));
  tell(aut, models_atom_v, both_models());
  message_group group;
  for (const char* tag : {"a", "b", "c", "d"}) {
    request_maker what{"hello", reply_mode::stream};
    if (std::string_view{tag} == "b")
      what.what.model = "no such model";
    add_to(group, submit_atom_v, what.make(tag, *time));
  }
  tell(aut, std::move(group));
  std::vector<std::string> admitted;
  for (const auto& [atom, jobs] : ledger_in.all<admit_atom, std::vector<job>>())
    admitted.push_back(jobs.front().what->reply_to.tag);
  CHECK(admitted == std::vector<std::string>{"a", "c", "d"});
  CHECK(ledger_in.woken() == 1);
  CHECK(tags_of(outbox) == std::vector<std::string>{"b"});
  CHECK(told("b").error() != nullptr);
  CHECK(told("b").released_jobs == 1);
}

TEST_CASE_METHOD(ledger_fixture, "a group of durable jobs is one commit and one group of replies",
                 "[actors][groups]") {
  message_group group;
  const auto admit_one = [&](std::uint8_t number, const std::string& key) {
    maker.what.key = key;
    add_to(group, admit_atom_v, std::vector<job>{make(number, std::to_string(number))});
  };
  admit_one(1, "k");
  admit_one(2, "k"); // another request under a key that is taken
  admit_one(3, "");
  admit_one(4, "");
  caf::anon_send(aut, std::move(group));
  const auto woken = outbox.woken();
  REQUIRE(run.try_run_once());
  CHECK(outbox.count<reply>() == 0); // nothing is accepted before the sync
  run.run();
  CHECK(tags_of(outbox) == std::vector<std::string>{"2", "1", "3", "4"}); // a refusal needs none
  CHECK(told("2").error_name() == "E_KEY_CONFLICT");
  for (const char* tag : {"1", "3", "4"})
    CHECK(told(tag).accepted.has_value());
  CHECK(commits() == 1);
  CHECK(outbox.woken() == woken + 2); // the refusal, and what was accepted
}

TEST_CASE_METHOD(ledger_fixture, "a cancel in a group ends the job before it in the group",
                 "[actors][groups]") {
  message_group group;
  add_to(group, admit_atom_v, std::vector<job>{make(1, "job")});
  add_to(group, cancel_atom_v, ask(1, "cancel"));
  tell(aut, std::move(group));
  CHECK(told("job").accepted.has_value());
  const bool at_cache = cache_in.count<cancel_atom, job_id>() == 1;
  const bool ended =
      responder_in.count<failed_atom, job_id, failure, std::vector<trace_entry>>() == 1;
  CHECK(at_cache != ended); // whoever holds it was told, once
}

TEST_CASE_METHOD(actor_fixture, "receivers are told in the order that their sender names",
                 "[actors][groups]") {
  const auto all = neighbours();
  caf::event_based_actor* const self = nullptr; // within a handler nobody is asked
  outgoing<outbox_actor, responder_actor> mail;
  mail.depth = 1; // as in a handler
  mail.send(self, all.cache, cancel_atom_v, job_id{});
  mail.send(self, all.responder, lost_atom_v, job_id{});
  mail.send(self, all.cache, cancel_atom_v, job_id{});
  mail.send(self, all.outbox, event_of("x"));
  CHECK_FALSE(run.has_job());
  mail.flush(nullptr);
  CHECK(woken_in_turn({&outbox, &responder_in, &cache_in}));
  CHECK(cache_in.count<cancel_atom, job_id>() == 2);
  CHECK_FALSE(run.has_job());
}

TEST_CASE_METHOD(actor_fixture, "who has his answer and asks again finds it in the cache",
                 "[actors][groups]") {
  const auto aut = spawned(system.spawn(responder, time, counters));
  tell(aut, connect_atom_v, std::make_shared<const peers>(neighbours()));
  const auto what = job_maker{}.make("a", 1);
  tell(aut, open_atom_v, what);
  auto found = std::make_shared<answer>();
  found->text = "text";
  caf::anon_send(aut, hit_atom_v, what, answer_ptr{found});
  REQUIRE(run.try_run_once());
  CHECK(woken_in_turn({&cache_in, &ledger_in, &outbox}));
  CHECK(cache_in.count<settled_atom, job_id, answer_ptr, bool>() == 1);
  CHECK(ledger_in.count<ended_atom, job_end>() == 1);
  CHECK(outbox.count<reply>() == 1);
}

TEST_CASE_METHOD(ledger_fixture, "a job is accepted and opened before anybody can answer it",
                 "[actors][groups]") {
  maker.what.durable = false;
  maker.what.mode = reply_mode::stream;
  caf::anon_send(aut, admit_atom_v, std::vector<job>{make(1)});
  REQUIRE(run.try_run_once());
  CHECK(woken_in_turn({&outbox, &responder_in, &cache_in}));
  CHECK(told("r").accepted.has_value());
  CHECK(responder_in.count<open_atom, job>() == 1);
  CHECK(cache_in.count<lookup_atom, job>() == 1);
}

TEST_CASE_METHOD(actor_fixture, "what a thread sends arrives in its order, whoever receives it",
                 "[actors][groups]") {
  const auto all = neighbours();
  outgoing_run mail;
  mail.flush(); // nothing is nothing
  mail.send(all.responder, lost_atom_v, job_id{});
  mail.send(all.responder, lost_atom_v, job_id{});
  mail.send(all.cache, cancel_atom_v, job_id{});
  CHECK(run.has_job()); // the run to the responder has ended
  REQUIRE(run.try_run_once());
  CHECK(responder_in.count<lost_atom, job_id>() == 2);
  CHECK(responder_in.woken() == 1);
  CHECK_FALSE(run.has_job());
  mail.flush();
  run.run();
  CHECK(cache_in.count<cancel_atom, job_id>() == 1);
}

TEST_CASE_METHOD(actor_fixture, "a group that takes long is handed on in parts",
                 "[actors][groups]") {
  const auto aut = spawned(system.spawn(echo, std::make_shared<const peers>(neighbours())));
  message_group group;
  for (const char* topic : {"first", "late", "last"})
    add_to(group, event_of(topic));
  tell(aut, std::move(group));
  CHECK(outbox.woken() >= 2);
  std::vector<std::string> heard;
  for (const auto& [what] : outbox.all<event>())
    heard.push_back(what.topic);
  CHECK(heard == std::vector<std::string>{"first", "late", "last"});
}
