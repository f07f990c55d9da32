// SPDX-License-Identifier: MIT
#include "daemon/accounts.h"

#include <algorithm>
#include <chrono>

namespace bitnetd::daemon {

namespace {

// A bound on the hint: below it clients would spin, above it they would sleep through free time.
std::int64_t hint(double ms) { return static_cast<std::int64_t>(std::clamp(ms, 50.0, 10'000.0)); }

} // namespace

std::optional<wire::refusal> accounts::open(const std::string& principal, bounds most,
                                            std::uint64_t jobs, std::uint64_t bytes) {
  if (jobs > most.jobs)
    return wire::refusal{wire::errors::too_big,
                         "the batch has " + std::to_string(jobs) +
                             " items, and this principal may have " + std::to_string(most.jobs) +
                             " jobs open (its open_jobs, else limits.open_jobs)",
                         "items", static_cast<std::int64_t>(most.jobs)};
  auto& mine = open_[principal];
  const bool full_jobs = mine.jobs + jobs > most.jobs;
  // One request is always taken, so that no bound on bytes can lock a principal out.
  const bool full_bytes = mine.bytes > 0 && mine.bytes + bytes > most.bytes;
  if (full_jobs || full_bytes) {
    const auto excess = full_jobs ? mine.jobs + jobs - most.jobs : 1;
    return wire::refusal{
        wire::errors::busy,
        full_jobs ? std::to_string(mine.jobs) +
                        " jobs are open, and this "
                        "principal may have " +
                        std::to_string(most.jobs) + " (its open_jobs, else limits.open_jobs)"
                  : std::to_string(mine.bytes) +
                        " bytes of requests are held, "
                        "and this principal may have " +
                        std::to_string(most.bytes) + " (its open_bytes, else limits.open_bytes)",
        "", static_cast<std::int64_t>(full_jobs ? most.jobs : most.bytes),
        hint(mine.ms_per_job * static_cast<double>(excess))};
  }
  mine.jobs += jobs;
  mine.bytes += bytes;
  return {};
}

void accounts::release(const std::string& principal, std::uint64_t jobs, std::uint64_t bytes,
                       mono_time now) {
  const auto found = open_.find(principal);
  if (found == open_.end())
    return;
  auto& mine = found->second;
  mine.jobs -= std::min(mine.jobs, jobs);
  mine.bytes -= std::min(mine.bytes, bytes);
  if (jobs == 0)
    return;
  if (mine.last_release) {
    const std::chrono::duration<double, std::milli> gap = now - *mine.last_release;
    mine.ms_per_job += 0.1 * (gap.count() / static_cast<double>(jobs) - mine.ms_per_job);
  }
  mine.last_release = now;
}

std::uint64_t accounts::open_jobs(const std::string& principal) const {
  const auto found = open_.find(principal);
  return found == open_.end() ? 0 : found->second.jobs;
}

std::uint64_t accounts::open_bytes(const std::string& principal) const {
  const auto found = open_.find(principal);
  return found == open_.end() ? 0 : found->second.bytes;
}

} // namespace bitnetd::daemon
