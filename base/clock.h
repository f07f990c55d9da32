// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>

namespace bitnetd {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Point on the monotonic clock: durations, deadlines, traces. Never stored.
using mono_time = std::chrono::steady_clock::time_point;

/// Milliseconds from one point to another, with fractions.
[[nodiscard]] inline double ms_between(mono_time from, mono_time to) noexcept {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

/// Point on the wall clock: what is stored and shown.
using wall_time = std::chrono::system_clock::time_point;

/// Source of both clocks, passed in so that tests can own the time. Safe to call from any thread.
struct clock {
  virtual ~clock() = default;
  [[nodiscard]] virtual mono_time mono() const noexcept = 0;
  [[nodiscard]] virtual wall_time wall() const noexcept = 0;
};

/// The machine's clocks.
struct system_clock final : clock {
  [[nodiscard]] mono_time mono() const noexcept override {
    return std::chrono::steady_clock::now();
  }
  [[nodiscard]] wall_time wall() const noexcept override {
    return std::chrono::system_clock::now();
  }
};

/// A clock that moves only when told to; for tests.
class manual_clock final : public clock {
public:
  void advance(microseconds by) noexcept {
    mono_ += by;
    wall_ += by;
  }
  [[nodiscard]] mono_time mono() const noexcept override { return mono_; }
  [[nodiscard]] wall_time wall() const noexcept override { return wall_; }

private:
  mono_time mono_{std::chrono::hours{1}};
  wall_time wall_{std::chrono::hours{24 * 365 * 56}};
};

/// Microseconds since the Unix epoch: the form in which stamps are stored.
[[nodiscard]] inline std::int64_t to_wall_us(wall_time t) noexcept {
  return std::chrono::duration_cast<microseconds>(t.time_since_epoch()).count();
}

} // namespace bitnetd
