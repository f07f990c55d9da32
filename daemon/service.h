// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "conf/watch.h"
#include "daemon/front.h"
#include "daemon/notifier.h"
#include "daemon/pulse.h"

#include <caf/actor_system.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>

namespace bitnetd::daemon {

/// SIGTERM, SIGINT and SIGHUP as something to poll. Made before any thread: all of them inherit
/// that these signals are blocked. SIGPIPE is ignored.
class signals {
public:
  signals();
  ~signals();
  signals(const signals&) = delete;
  signals& operator=(const signals&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// The next signal that came, or 0.
  [[nodiscard]] int next() const;

private:
  int fd_ = -1;
};

/// Runs `load` in a thread of its own and waits for it, telling systemd that it goes on. Returns
/// false when SIGTERM or SIGINT came first: the thread still runs, and the process should end
/// without waiting for it. What `load` throws is thrown here.
[[nodiscard]] bool load_interruptibly(const signals& signals, const notifier& systemd,
                                      std::function<void()> load);

/// The daemon's life from READY to the end.
///
///   SIGTERM, SIGINT   drain: no new jobs, running ones may finish for `limits.drain_timeout`;
///                     a second one ends at once
///   SIGHUP, a saved configuration file   the supervisor reloads
///   no sign of life from the pipeline    end with a failure, so that the service is restarted
class service {
public:
  struct parts {
    const daemon::signals& from_outside;
    notifier systemd;
    conf::watcher& watcher;
    front& door;
    std::function<std::chrono::seconds()> drain_timeout; ///< as configured now
  };

  explicit service(const parts& with) : with_(with) {}

  /// Returns the process' exit status: 0 after a drain, 1 when the pipeline ended by itself.
  [[nodiscard]] int run(caf::actor_system& system, const actors::supervisor_actor& supervisor);

private:
  void on_signal(const actors::supervisor_actor& supervisor, int signal);
  void begin_stop(const actors::supervisor_actor& supervisor, std::chrono::seconds limit);

  parts with_;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point give_up_{}; ///< of a stop that does not come to an end
};

} // namespace bitnetd::daemon
