// SPDX-License-Identifier: MIT
#include "daemon/outbox.h"

#include "daemon/replies.h"

#include <caf/typed_event_based_actor.hpp>
#include <nlohmann/json.hpp>

#include <utility>

namespace bitnetd::daemon {

namespace {

gate_actor::behavior_type outbox(gate_actor::pointer /*self*/,
                                 std::shared_ptr<outbound_queue> queue, const std::string& epoch) {
  return {
      [queue, epoch](const actors::reply& reply) { queue->push(to_outbound(reply, epoch)); },
      [queue](const actors::event& event) { queue->push(event); },
      [queue](actors::connect_atom, const actors::peers_ptr& peers) { queue->push(peers); },
      [queue](actors::configure_atom, const conf::config_ptr& config) { queue->push(config); },
      [queue](actors::drain_atom, bool on) {
        queue->push(on ? front_state::draining : front_state::ready);
      },
      [queue](actors::lost_atom, const std::string& why) {
        queue->push(journal_damaged{});
        queue->push(
            actors::event{"alert", nlohmann::json{{"what", "journal"}, {"msg", why}}.dump()});
      },
  };
}

} // namespace

gate_actor spawn_outbox(caf::actor_system& system, std::shared_ptr<outbound_queue> queue,
                        std::string epoch) {
  return system.spawn(outbox, std::move(queue), std::move(epoch));
}

} // namespace bitnetd::daemon
