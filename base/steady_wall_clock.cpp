// SPDX-License-Identifier: MIT
#include "base/steady_wall_clock.h"

#include "base/log.h"

#include <ctime>
#include <utility>

namespace bitnetd {

namespace {

using std::chrono::nanoseconds;

constexpr std::chrono::seconds largest_correction{2};
// Two readings further apart than this were not taken at the same moment.
constexpr std::chrono::milliseconds same_moment{100};

// CLOCK_BOOTTIME goes on while the machine sleeps, as the wall clock does.
nanoseconds since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec};
}

} // namespace

steady_wall_clock::steady_wall_clock()
    : steady_wall_clock({[] { return std::chrono::system_clock::now(); }, since_boot}) {}

steady_wall_clock::steady_wall_clock(sources from) : from_(std::move(from)), last_(read()) {}

// Both clocks at one moment: a process that was stopped between the two would see a jump.
steady_wall_clock::reading steady_wall_clock::read() const {
  for (;;) {
    const auto before = from_.elapsed();
    const auto told = from_.wall();
    if (from_.elapsed() - before <= same_moment)
      return {told, before};
  }
}

mono_time steady_wall_clock::mono() const noexcept { return std::chrono::steady_clock::now(); }

wall_time steady_wall_clock::wall() const noexcept {
  const std::lock_guard lock(mutex_);
  auto now = read();
  const auto expected =
      last_.wall + std::chrono::duration_cast<wall_time::duration>(now.elapsed - last_.elapsed);
  const auto off = std::chrono::duration_cast<std::chrono::milliseconds>(now.wall - expected);
  const bool follows = off <= largest_correction && off >= -largest_correction;
  if (!follows && !std::exchange(jumped_, true))
    log::warn("the wall clock jumped by {} s: ignored until the next start", off.count() / 1000);
  jumped_ = jumped_ && !follows; // put right again: the next jump is news
  if (!follows)
    now.wall = expected;
  last_ = now;
  return now.wall;
}

} // namespace bitnetd
