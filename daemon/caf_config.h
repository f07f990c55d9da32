// SPDX-License-Identifier: MIT
#pragma once

#include <caf/actor_system_config.hpp>

#include <cstddef>

namespace bitnetd::daemon {

/// CAF as this daemon uses it: our message types, and a pool of `threads` that sleeps when idle.
class caf_config : public caf::actor_system_config {
public:
  explicit caf_config(std::size_t threads);
};

} // namespace bitnetd::daemon
