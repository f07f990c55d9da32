// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "daemon/outbound_queue.h"

#include <caf/actor_system.hpp>

#include <memory>
#include <string>

namespace bitnetd::daemon {

/// OUTBOX and DOOR in one actor: replies and events, who is there, what is configured.
using gate_actor = caf::typed_actor<caf::reacts_to<actors::reply>, caf::reacts_to<actors::event>,
                                    caf::reacts_to<actors::connect_atom, actors::peers_ptr>,
                                    caf::reacts_to<actors::configure_atom, conf::config_ptr>,
                                    caf::reacts_to<actors::drain_atom, bool>,
                                    caf::reacts_to<actors::lost_atom, std::string>,
                                    caf::reacts_to<actors::message_group>>;

/// The actor that writes replies as BN1 bodies into the front's queue, in the thread of their
/// sender.
[[nodiscard]] gate_actor spawn_outbox(caf::actor_system& system,
                                      std::shared_ptr<outbound_queue> queue, std::string epoch);

} // namespace bitnetd::daemon
