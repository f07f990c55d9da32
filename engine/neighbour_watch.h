// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace bitnetd::engine {

/// Decides how many helper threads a step asks for, by how long the caller had to wait for them.
///
/// A helper whose core is also used by somebody else is off it for milliseconds at a time, with a
/// chunk in hand that everybody waits for. Two threads save at most half the time, so when waiting
/// makes up more than 40 % of a step, doing without that helper is faster. After a pause one helper
/// is asked back; the pause doubles while that goes wrong, up to two seconds.
class neighbour_watch {
public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;

  explicit neighbour_watch(std::size_t most_helpers) noexcept
      : most_{most_helpers}, allowed_{most_helpers} {}

  /// Helpers for the step that begins now.
  [[nodiscard]] std::size_t helpers(time_point now) noexcept {
    if (allowed_ < most_ && now >= resume_at_) {
      ++allowed_;
      resume_at_ = now + pause_; // the next one not before
    }
    return allowed_;
  }

  /// A step ended `now`, took `took`, and in it the caller waited `waited` for helpers.
  void step_ended(time_point now, duration took, duration waited) noexcept {
    if (allowed_ == 0)
      return;
    if (waited * 10 <= took * 4) {
      n_bad_ = 0;
      if (allowed_ == most_ && now >= resume_at_ + longest_pause)
        pause_ = shortest_pause; // all well for a while
      return;
    }
    lost_ += waited;
    if (++n_bad_ < 3 && waited < at_once)
      return;
    n_bad_ = 0;
    --allowed_;
    resume_at_ = now + pause_;
    pause_ = std::min<duration>(pause_ * 2, longest_pause);
  }

  /// Time waited in steps that went badly, since the start.
  [[nodiscard]] duration lost() const noexcept { return lost_; }

private:
  static constexpr duration shortest_pause = std::chrono::milliseconds{50};
  static constexpr duration longest_pause = std::chrono::seconds{2};
  static constexpr duration at_once = std::chrono::milliseconds{10}; ///< one such step is enough

  std::size_t most_, allowed_, n_bad_ = 0;
  time_point resume_at_{};
  duration pause_ = shortest_pause, lost_{};
};

} // namespace bitnetd::engine
