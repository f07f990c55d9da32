// SPDX-License-Identifier: MIT
#include "daemon/caf_config.h"

#include "actors/caf_types.h"

#include <caf/atom.hpp>

namespace bitnetd::daemon {

caf_config::caf_config(std::size_t threads) {
  add_message_types<caf::id_block::bitnetd>();
  // The stealing scheduler (CAF's default) polls: 7.5 % of a CPU when idle, and four times the
  // latency of this one on two cores.
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", threads);
}

} // namespace bitnetd::daemon
