// SPDX-License-Identifier: MIT
#include "daemon/caf_config.h"

#include "actors/caf_types.h"

#include <caf/atom.hpp>

namespace bitnetd::daemon {

std::size_t pool_threads(std::uint32_t configured, unsigned cpus) {
  constexpr unsigned few = 4;
  if (configured > 0)
    return configured;
  return cpus > few ? 2 : 1;
}

caf_config::caf_config(std::size_t threads) {
  add_message_types<caf::id_block::bitnetd>();
  // The stealing scheduler (CAF's default) polls: 7.5 % of a CPU when idle, and four times the
  // latency of this one on two cores.
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", threads);
}

} // namespace bitnetd::daemon
