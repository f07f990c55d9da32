// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "actors/metrics.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/actors/recorder.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace bitnetd::actors::testing {

/// A neighbour of the actor under test: takes every message and remembers it.
class stand_in {
public:
  explicit stand_in(caf::actor_system& system) {
    // An argument, not a capture: CAF 0.17.6 dereferences a null pointer where there is none.
    const auto listen = [](caf::event_based_actor* self, const decltype(heard_)& heard,
                           const decltype(woken_)& woken) -> caf::behavior {
      self->set_default_handler(
          [heard, woken](caf::scheduled_actor*,
                         caf::message_view& what) -> caf::result<caf::message> {
            ++*woken;
            auto content = what.move_content_to_message();
            if (content.match_elements<message_group>())
              for (const auto& one : content.get_as<message_group>(0).messages)
                heard->push_back(one);
            else
              heard->push_back(std::move(content));
            return caf::message{};
          });
      return {[](stop_atom) {}};
    };
    handle_ = system.spawn(listen, heard_, woken_);
  }

  template <class Handle> [[nodiscard]] Handle as() const {
    return caf::actor_cast<Handle>(handle_);
  }
  [[nodiscard]] const caf::actor& handle() const { return handle_; }

  /// Every message of exactly these types, oldest first.
  template <class... Ts> [[nodiscard]] std::vector<std::tuple<Ts...>> all() const {
    std::vector<std::tuple<Ts...>> out;
    for (const auto& one : *heard_)
      if (one.match_elements<Ts...>())
        out.push_back(copy<Ts...>(one, std::index_sequence_for<Ts...>{}));
    return out;
  }
  template <class... Ts> [[nodiscard]] std::size_t count() const { return all<Ts...>().size(); }
  /// The newest one; a test that asks for what was not sent fails by the exception.
  template <class... Ts> [[nodiscard]] std::tuple<Ts...> last() const {
    const auto found = all<Ts...>();
    if (found.empty())
      throw std::runtime_error("no such message was sent");
    return found.back();
  }
  /// How often something came: a group of messages counts once.
  [[nodiscard]] std::size_t woken() const { return *woken_; }
  void forget() { heard_->clear(); }

private:
  template <class... Ts, std::size_t... Is>
  static std::tuple<Ts...> copy(const caf::message& from, std::index_sequence<Is...>) {
    return {from.get_as<Ts>(Is)...};
  }

  std::shared_ptr<std::vector<caf::message>> heard_ = std::make_shared<std::vector<caf::message>>();
  std::shared_ptr<std::size_t> woken_ = std::make_shared<std::size_t>(0);
  caf::actor handle_;
};

class testing_system_config : public caf::actor_system_config {
public:
  testing_system_config() {
    add_message_types<caf::id_block::bitnetd>();
    set("scheduler.policy", caf::atom("testing"));
  }
};

/// One actor among stand-ins, with virtual time: nothing happens but what a test lets happen.
class actor_fixture {
protected:
  testing_system_config system_config_;

public:
  actor_fixture()
      : system{system_config_}, run{dynamic_cast<caf::scheduler::test_coordinator&>(
                                    system.scheduler())},
        outbox{system}, analyzer_in{system}, ledger_in{system}, cache_in{system}, keeper_in{system},
        batcher_in{system}, responder_in{system}, supervisor_in{system} {
    log::set_level("off"); // what is logged here is meant to happen
    for (int i = 0; i < 2; ++i)
      workers_in.emplace_back(system);
    run.run();
  }
  ~actor_fixture() {
    for (const auto& one : spawned_)
      caf::anon_send_exit(one, caf::exit_reason::kill);
    for (const auto* one : {&outbox, &analyzer_in, &ledger_in, &cache_in, &keeper_in, &batcher_in,
                            &responder_in, &supervisor_in})
      caf::anon_send_exit(one->handle(), caf::exit_reason::kill);
    for (const auto& one : workers_in)
      caf::anon_send_exit(one.handle(), caf::exit_reason::kill);
    run.run();
  }
  actor_fixture(const actor_fixture&) = delete;
  actor_fixture& operator=(const actor_fixture&) = delete;

  /// Handles of all stand-ins; a test puts the actor under test in its place.
  [[nodiscard]] peers neighbours() const {
    peers out;
    out.outbox = outbox.as<outbox_actor>();
    out.analyzer = analyzer_in.as<analyzer_actor>();
    out.ledger = ledger_in.as<ledger_actor>();
    out.cache = cache_in.as<cache_actor>();
    out.keeper = keeper_in.as<cache_keeper_actor>();
    out.batcher = batcher_in.as<batcher_actor>();
    out.responder = responder_in.as<responder_actor>();
    out.supervisor = supervisor_in.as<supervisor_actor>();
    for (const auto& one : workers_in)
      out.workers.push_back(one.as<worker_actor>());
    return out;
  }
  /// Sends to the actor under test and lets everything happen that follows.
  template <class Handle, class... Ts> void tell(const Handle& to, Ts&&... what) {
    caf::anon_send(to, std::forward<Ts>(what)...);
    run.run();
  }
  /// Lets the next actors run, one after another; false when they are others than these.
  bool woken_in_turn(const std::vector<const stand_in*>& expected) {
    for (const auto* next : expected) {
      const auto before = next->woken();
      if (!run.try_run_once() || next->woken() != before + 1)
        return false;
    }
    return true;
  }
  /// Asks the actor under test and returns its answer, which must come without time passing.
  template <class Answer, class Handle, class... Ts>
  Answer question(const Handle& to, Ts&&... what) {
    const stand_in asker{system};
    caf::send_as(asker.handle(), to, std::forward<Ts>(what)...);
    run.run();
    auto out = std::get<0>(asker.last<Answer>());
    caf::anon_send_exit(asker.handle(), caf::exit_reason::kill);
    run.run();
    return out;
  }
  /// Lets time pass, on our clock and on CAF's.
  void pass(microseconds by) {
    time->advance(by);
    run.advance_time(by);
    run.run();
  }
  /// Ends with the fixture.
  template <class Handle> Handle spawned(Handle handle) {
    spawned_.push_back(caf::actor_cast<caf::strong_actor_ptr>(handle));
    run.run();
    return handle;
  }
  /// What was said to a client request, told by its tag.
  [[nodiscard]] conversation told(const std::string& tag) const {
    conversation out;
    for (const auto& [what] : outbox.all<reply>())
      if (what.to.tag == tag)
        out.add(what);
    return out;
  }
  /// Value of one metric, by its Prometheus name with labels; 0 when it was never counted.
  [[nodiscard]] double metric(const std::string& name) const {
    return nlohmann::json::parse(counters->json()).value(name, 0.0);
  }

  caf::actor_system system;
  caf::scheduler::test_coordinator& run;
  std::shared_ptr<manual_clock> time = std::make_shared<manual_clock>();
  std::shared_ptr<metrics> counters = std::make_shared<metrics>();
  stand_in outbox, analyzer_in, ledger_in, cache_in, keeper_in, batcher_in, responder_in,
      supervisor_in;
  std::vector<stand_in> workers_in;

private:
  std::vector<caf::strong_actor_ptr> spawned_;
};

} // namespace bitnetd::actors::testing
