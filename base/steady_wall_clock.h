// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"

#include <functional>
#include <mutex>

namespace bitnetd {

/// The machine's clocks, but for jumps of the wall clock: what somebody set it to by more than two
/// seconds is ignored until the next start (and logged once), since with it every deadline and
/// retention would pass at once, or none for years. Small corrections are followed. Time in which
/// the machine slept, or this process stood still, is no jump.
class steady_wall_clock final : public clock {
public:
  /// Where time comes from; tests pass their own. `elapsed` never jumps and counts sleep.
  struct sources {
    std::function<wall_time()> wall;
    std::function<std::chrono::nanoseconds()> elapsed;
  };

  steady_wall_clock();
  explicit steady_wall_clock(sources from);

  [[nodiscard]] mono_time mono() const noexcept override;
  [[nodiscard]] wall_time wall() const noexcept override;

private:
  struct reading {
    wall_time wall;
    std::chrono::nanoseconds elapsed{};
  };
  [[nodiscard]] reading read() const;

  sources from_;
  mutable std::mutex mutex_;
  mutable reading last_;
  mutable bool jumped_ = false;
};

} // namespace bitnetd
