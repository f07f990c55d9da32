// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "daemon/notifier.h"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include <atomic>
#include <chrono>
#include <memory>

namespace bitnetd::daemon {

/// What the pulse knows; read by the service from another thread.
struct pulse_state {
  pulse_state();
  ~pulse_state();
  pulse_state(const pulse_state&) = delete;
  pulse_state& operator=(const pulse_state&) = delete;

  std::atomic<bool> ended{false};  ///< the supervisor is gone
  std::atomic<bool> ailing{false}; ///< no sign of life for `patience`
  int fd = -1;                     ///< an eventfd: readable when one of the above became true

  void wake() const;
};

struct pulse_options {
  std::chrono::milliseconds interval{5000};
  std::chrono::milliseconds answer_within{12'000}; ///< the supervisor itself waits 10 s for others
  std::chrono::milliseconds patience{60'000};
};

/// The PULSE asks the supervisor for its health at an interval. A good answer feeds systemd's
/// watchdog and sets the status line; without one nothing does, so that a daemon that hangs is
/// restarted. It also notices when the supervisor ends. Ends itself with the supervisor.
caf::actor spawn_pulse(caf::actor_system& system, actors::supervisor_actor supervisor,
                       notifier systemd, std::shared_ptr<pulse_state> state, pulse_options options);

} // namespace bitnetd::daemon
