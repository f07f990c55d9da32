// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

namespace bitnetd::engine {

/// Restricts the calling thread to these CPUs. Returns whether the system agreed; if not (a CPU
/// that is offline or not ours), the thread runs where it did.
bool bind_this_thread(const std::vector<int>& cpus) noexcept;

/// Sets the calling thread's nice value `by` above the process's, unless it is higher already:
/// sockets, journal and actors get a CPU at once when they want one.
bool lower_this_thread(int by) noexcept;

} // namespace bitnetd::engine
