// SPDX-License-Identifier: MIT
#pragma once

// Places where the fault harness (tests/fault) can kill the process, and bugs it must find. Both
// exist only where BITNETD_FAULTS is defined: in the harness' own build of the daemon, never in
// what is installed (a test looks).

#ifdef BITNETD_FAULTS

namespace bitnetd::fault {

/// Ends the process as SIGKILL does when $BITNETD_FAULT is `name:N` and this is the N-th time; with
/// $BITNETD_FAULT_HANGS its thread stands still instead.
void point(const char* name);
/// Whether $BITNETD_BUG names this bug.
[[nodiscard]] bool bug(const char* name) noexcept;

} // namespace bitnetd::fault

#define BITNETD_FAULT_POINT(name) ::bitnetd::fault::point(name)
#define BITNETD_SEEDED_BUG(name) ::bitnetd::fault::bug(name)

#else

#define BITNETD_FAULT_POINT(name) static_cast<void>(0)
#define BITNETD_SEEDED_BUG(name) false

#endif
