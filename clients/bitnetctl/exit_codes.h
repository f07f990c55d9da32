// SPDX-License-Identifier: MIT
#pragma once

namespace bitnetd::ctl {

/// Exit status of bitnetctl. Stable: scripts may rely on it.
namespace exit_code {
inline constexpr int ok = 0;
inline constexpr int daemon_error = 1; ///< the daemon said error: busy, draining, role, no such job
inline constexpr int usage = 2;
inline constexpr int refused = 3;    ///< the input: a field, a file, a configuration
inline constexpr int no_daemon = 4;  ///< nobody answers, or not in time
inline constexpr int job_failed = 5; ///< an accepted job did not end `done`
} // namespace exit_code

} // namespace bitnetd::ctl
