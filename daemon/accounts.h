// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "daemon/wire_errors.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace bitnetd::daemon {

/// What each principal has open: jobs that have not ended and bytes of their requests. This count
/// bounds everything behind the front, whose mailboxes have no bounds of their own. One thread.
class accounts {
public:
  struct bounds {
    std::uint64_t jobs = 10000, bytes = 256ull << 20;
  };

  /// Counts a request, or says why not (E_BUSY, with a time after which there may be room). A
  /// request that alone exceeds the bounds is E_TOO_BIG: waiting would not help it.
  [[nodiscard]] std::optional<wire::refusal> open(const std::string& principal, bounds most,
                                                  std::uint64_t jobs, std::uint64_t bytes);

  /// Takes back what was counted.
  void release(const std::string& principal, std::uint64_t jobs, std::uint64_t bytes,
               mono_time now);

  [[nodiscard]] std::uint64_t open_jobs(const std::string& principal) const;
  [[nodiscard]] std::uint64_t open_bytes(const std::string& principal) const;

private:
  struct account {
    std::uint64_t jobs = 0, bytes = 0;
    std::optional<mono_time> last_release;
    double ms_per_job = 1000; ///< smoothed time between two ends
  };

  std::map<std::string, account> open_;
};

} // namespace bitnetd::daemon
