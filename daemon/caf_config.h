// SPDX-License-Identifier: MIT
#pragma once

#include <caf/actor_system_config.hpp>

#include <cstddef>
#include <cstdint>

namespace bitnetd::daemon {

/// Threads for the actors where the configuration says `configured` (0: as the CPUs are). Where
/// CPUs are few, handing work to a second thread costs more than it gains (docs/performance.md).
[[nodiscard]] std::size_t pool_threads(std::uint32_t configured, unsigned cpus);

/// CAF as this daemon uses it: our message types, and a pool of `threads` that sleeps when idle.
class caf_config : public caf::actor_system_config {
public:
  explicit caf_config(std::size_t threads);
};

} // namespace bitnetd::daemon
