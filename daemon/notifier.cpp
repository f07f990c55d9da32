// SPDX-License-Identifier: MIT
#include "daemon/notifier.h"

#include <cstdint>
#include <systemd/sd-daemon.h>

namespace bitnetd::daemon {

namespace {

void notify(const std::string& text) { ::sd_notify(0, text.c_str()); }

// One line: a line feed would begin another variable.
std::string one_line(std::string text) {
  for (auto& c : text)
    if (c == '\n')
      c = ' ';
  return text;
}

} // namespace

void notifier::ready(const std::string& text) const { notify("READY=1\nSTATUS=" + one_line(text)); }

void notifier::status(const std::string& text) const { notify("STATUS=" + one_line(text)); }

void notifier::stopping(const std::string& text) const {
  notify("STOPPING=1\nSTATUS=" + one_line(text));
}

void notifier::extend(std::chrono::seconds time) const {
  notify("EXTEND_TIMEOUT_USEC=" +
         std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(time).count()));
}

void notifier::feed_watchdog() const { notify("WATCHDOG=1"); }

std::optional<std::chrono::microseconds> notifier::watchdog_interval() {
  std::uint64_t us = 0;
  if (::sd_watchdog_enabled(0, &us) <= 0)
    return {};
  return std::chrono::microseconds{us};
}

} // namespace bitnetd::daemon
