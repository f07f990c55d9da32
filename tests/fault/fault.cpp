// SPDX-License-Identifier: MIT
#include "base/fault.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace bitnetd::fault {

namespace {

struct order {
  std::string_view name;
  int countdown = 0;
};

order read_order() {
  const char* const text = std::getenv("BITNETD_FAULT");
  if (text == nullptr)
    return {};
  const std::string_view all = text;
  const auto colon = all.rfind(':');
  order out{all.substr(0, colon), 1};
  if (colon != std::string_view::npos)
    std::from_chars(all.data() + colon + 1, all.data() + all.size(), out.countdown);
  return out;
}

} // namespace

void point(const char* name) {
  static const order given = read_order();
  static std::atomic<int> left{given.countdown};
  if (given.name == name && --left == 0) {
    static constexpr std::string_view told = "fault: this thread hangs\n";
    if (std::getenv("BITNETD_FAULT_HANGS") == nullptr)
      ::kill(::getpid(), SIGKILL);
    else if (::write(STDERR_FILENO, told.data(), told.size()) < 0)
      return; // nobody would know
    for (;;) // until the signal comes, or for good
      ::pause();
  }
}

bool bug(const char* name) noexcept {
  static const char* const given = std::getenv("BITNETD_BUG");
  return given != nullptr && std::string_view{given} == name;
}

} // namespace bitnetd::fault
