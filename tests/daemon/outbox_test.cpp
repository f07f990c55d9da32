// SPDX-License-Identifier: MIT
#include "daemon/caf_config.h"
#include "daemon/outbox.h"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::daemon;

namespace {

struct outbox_fixture {
  caf_config settings{1};
  caf::actor_system system{settings};
  std::shared_ptr<outbound_queue> queue = std::make_shared<outbound_queue>();
  gate_actor gate = spawn_outbox(system, queue, "epoch");

  ~outbox_fixture() { caf::anon_send_exit(gate, caf::exit_reason::user_shutdown); }
  static actors::event event(const std::string& topic, std::string body) {
    return {topic, std::move(body), "alice"};
  }
};

} // namespace

TEST_CASE_METHOD(outbox_fixture, "what the outbox is sent is in the queue when sending returns",
                 "[daemon][outbox]") {
  caf::anon_send(gate, event("job", "1"));
  caf::anon_send(gate, actors::drain_atom_v, true);
  actors::message_group group;
  group.messages.push_back(caf::make_message(event("job", "2")));
  group.messages.push_back(caf::make_message(actors::drain_atom_v, false));
  group.messages.push_back(caf::make_message(event("job", "3")));
  caf::anon_send(gate, std::move(group));
  const auto all = queue->take();
  REQUIRE(all.size() == 5);
  CHECK(std::get<actors::event>(all[0]).body == "1");
  CHECK(std::get<front_state>(all[1]) == front_state::draining);
  CHECK(std::get<actors::event>(all[2]).body == "2");
  CHECK(std::get<front_state>(all[3]) == front_state::ready);
  CHECK(std::get<actors::event>(all[4]).body == "3");
}

TEST_CASE_METHOD(outbox_fixture, "many threads send to the outbox, each in its order",
                 "[daemon][outbox]") {
  constexpr int n_threads = 4, n_each = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < n_threads; ++t)
    threads.emplace_back([this, t] {
      for (int i = 0; i < n_each; ++i) {
        if (i % 100 == 99)
          caf::anon_send(gate, actors::drain_atom_v, i % 200 == 99);
        caf::anon_send(gate, event(std::to_string(t), std::to_string(i)));
      }
    });
  for (auto& thread : threads)
    thread.join();
  std::map<std::string, int> next;
  int states = 0;
  for (const auto& message : queue->take()) {
    if (const auto* one = std::get_if<actors::event>(&message))
      CHECK(one->body == std::to_string(next[one->topic]++));
    states += std::holds_alternative<front_state>(message);
  }
  CHECK(next.size() == n_threads);
  for (const auto& [topic, n] : next)
    CHECK(n == n_each);
  CHECK(states == n_threads * n_each / 100);
}

TEST_CASE_METHOD(outbox_fixture, "the outbox ends when it is told to, and says so",
                 "[daemon][outbox]") {
  caf::scoped_actor self(system);
  self->monitor(gate);
  caf::anon_send_exit(gate, caf::exit_reason::user_shutdown);
  bool told = false;
  self->receive([&](const caf::down_msg& end) { told = end.source == gate.address(); },
                caf::after(std::chrono::seconds(10)) >> [] {});
  CHECK(told);
}
