// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace bitnetd::daemon {

/// What the daemon tells systemd (sd_notify(3)). Without $NOTIFY_SOCKET every call does nothing.
/// Safe to use from any thread.
class notifier {
public:
  /// The service can answer.
  void ready(const std::string& status) const;
  /// The line that `systemctl status` shows.
  void status(const std::string& text) const;
  void stopping(const std::string& status) const;
  /// Something is moving: do not lose patience with starting or stopping for this long.
  void extend(std::chrono::seconds time) const;
  void feed_watchdog() const;

  /// How often the watchdog must be fed, from $WATCHDOG_USEC; nothing when it is not on.
  [[nodiscard]] static std::optional<std::chrono::microseconds> watchdog_interval();
};

} // namespace bitnetd::daemon
