// SPDX-License-Identifier: MIT
#include "engine/cpu_binding.h"

#include <algorithm>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bitnetd::engine {

bool bind_this_thread(const std::vector<int>& cpus) noexcept {
  if (cpus.empty())
    return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const auto cpu : cpus)
    if (cpu >= 0 && cpu < CPU_SETSIZE)
      CPU_SET(cpu, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

bool lower_this_thread(int by) noexcept {
  // On Linux a nice value belongs to a thread when the id of one is given; the process's own is
  // that of its first thread.
  constexpr int lowest = 19;
  const auto wanted =
      std::min(::getpriority(PRIO_PROCESS, static_cast<id_t>(::getpid())) + by, lowest);
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  return ::getpriority(PRIO_PROCESS, thread) >= wanted ||
         ::setpriority(PRIO_PROCESS, thread, wanted) == 0;
}

} // namespace bitnetd::engine
