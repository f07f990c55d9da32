// SPDX-License-Identifier: MIT
#include "daemon/outbox.h"

#include "base/log.h"
#include "daemon/replies.h"

#include <caf/actor_config.hpp>
#include <caf/behavior.hpp>
#include <caf/make_actor.hpp>
#include <caf/monitorable_actor.hpp>
#include <caf/system_messages.hpp>
#include <nlohmann/json.hpp>

#include <utility>
#include <vector>

namespace bitnetd::daemon {

namespace {

/// An actor without a mailbox and without a turn: what it is sent is in the queue when sending
/// returns. A reply wakes one thread less than by way of the pool, and orders stay as they were
/// sent. A reply that cannot be written (there is no memory) ends its sender, and with it the
/// process, as any actor's failure does. Threads: any, at once.
class outbox final : public caf::monitorable_actor {
public:
  outbox(caf::actor_config& how, std::shared_ptr<outbound_queue> queue, std::string epoch)
      : caf::monitorable_actor(how), queue_(std::move(queue)), epoch_(std::move(epoch)),
        rare_{[this](actors::connect_atom, const actors::peers_ptr& peers) { queue_->push(peers); },
              [this](actors::configure_atom, const conf::config_ptr& config) {
                queue_->push(config);
              },
              [this](actors::drain_atom, bool on) {
                queue_->push(on ? front_state::draining : front_state::ready);
              },
              [this](actors::lost_atom, const std::string& why) {
                queue_->push(journal_damaged{});
                queue_->push(actors::event{
                    "alert", nlohmann::json{{"what", "journal"}, {"msg", why}}.dump()});
              }} {}

  const char* name() const override { return "outbox"; }

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* host) override {
    auto message = what->move_content_to_message();
    if (message.match_elements<caf::exit_msg>()) {
      cleanup(caf::error{message.get_as<caf::exit_msg>(0).reason}, host);
      return;
    }
    std::vector<front_message> out;
    take(message, out);
    queue_->push(std::move(out));
  }

private:
  void take(caf::message& what, std::vector<front_message>& out) {
    if (what.match_elements<actors::reply>()) {
      out.emplace_back(to_outbound(what.get_as<actors::reply>(0), epoch_));
    } else if (what.match_elements<actors::event>()) {
      out.emplace_back(what.get_as<actors::event>(0));
    } else if (what.match_elements<actors::message_group>()) {
      for (auto& one : what.get_mutable_as<actors::message_group>(0).messages)
        take(one, out);
    } else {
      queue_->push(std::exchange(out, {})); // in their order
      if (!rare_(what))
        log::error("outbox: nobody handles a message");
    }
  }

  const std::shared_ptr<outbound_queue> queue_;
  const std::string epoch_;
  caf::behavior rare_; ///< it changes nothing of its own: callable by many at once
};

} // namespace

gate_actor spawn_outbox(caf::actor_system& system, std::shared_ptr<outbound_queue> queue,
                        std::string epoch) {
  caf::actor_config how;
  return caf::make_actor<outbox, gate_actor>(system.next_actor_id(), system.node(), &system, how,
                                             std::move(queue), std::move(epoch));
}

} // namespace bitnetd::daemon
