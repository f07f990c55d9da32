// SPDX-License-Identifier: MIT
#include "daemon/outbox.h"

#include "actors/outgoing.h"
#include "daemon/replies.h"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <nlohmann/json.hpp>

#include <utility>
#include <vector>

namespace bitnetd::daemon {

namespace {

/// What one group of messages comes to goes into the queue at once: the front is woken once.
struct outgoing_replies : actors::grouping {
  std::shared_ptr<outbound_queue> queue;
  std::vector<front_message> waiting;

  void flush(caf::execution_unit*) {
    if (!waiting.empty())
      queue->push(std::exchange(waiting, {}));
  }
};

struct outbox_state {
  static inline constexpr const char* name = "outbox";
  outgoing_replies mail;
};

gate_actor::behavior_type outbox(gate_actor::stateful_pointer<outbox_state> self,
                                 std::shared_ptr<outbound_queue> queue, const std::string& epoch) {
  auto& mail = self->state.mail;
  mail.queue = std::move(queue);
  auto& out = mail.waiting;
  return actors::in_groups<gate_actor>(
      self, mail,
      [&out, epoch](const actors::reply& reply) { out.emplace_back(to_outbound(reply, epoch)); },
      [&out](const actors::event& event) { out.emplace_back(event); },
      [&out](actors::connect_atom, const actors::peers_ptr& peers) { out.emplace_back(peers); },
      [&out](actors::configure_atom, const conf::config_ptr& config) { out.emplace_back(config); },
      [&out](actors::drain_atom, bool on) {
        out.emplace_back(on ? front_state::draining : front_state::ready);
      },
      [&out](actors::lost_atom, const std::string& why) {
        out.emplace_back(journal_damaged{});
        out.emplace_back(
            actors::event{"alert", nlohmann::json{{"what", "journal"}, {"msg", why}}.dump()});
      });
}

} // namespace

gate_actor spawn_outbox(caf::actor_system& system, std::shared_ptr<outbound_queue> queue,
                        std::string epoch) {
  return system.spawn(outbox, std::move(queue), std::move(epoch));
}

} // namespace bitnetd::daemon
