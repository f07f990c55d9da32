// SPDX-License-Identifier: MIT
#include "engine/neighbour_watch.h"

#include <catch2/catch.hpp>

using bitnetd::engine::neighbour_watch;
using namespace std::chrono_literals;

namespace {

/// Runs steps of 5 ms until `end`; with helpers at work, `share` of each step is waiting. Returns
/// in how many of them there were helpers.
int run_until(neighbour_watch& watch, neighbour_watch::time_point& now,
              neighbour_watch::duration until, double share) {
  int helped = 0;
  for (const auto end = now + until; now < end;) {
    const auto helpers = watch.helpers(now);
    now += 5ms;
    helped += helpers > 0;
    watch.step_ended(now, 5ms, helpers > 0 ? std::chrono::microseconds{int(5000 * share)} : 0us);
  }
  return helped;
}

} // namespace

TEST_CASE("helpers stay while the caller hardly waits for them", "[engine][node]") {
  neighbour_watch watch{3};
  neighbour_watch::time_point now{};
  CHECK(run_until(watch, now, 10s, 0.2) == 2000);
  CHECK(watch.helpers(now) == 3);
  CHECK(watch.lost() == 0ns);
}

TEST_CASE("a shared core costs helpers, who are asked back ever more rarely", "[engine][node]") {
  neighbour_watch watch{1};
  neighbour_watch::time_point now{};
  CHECK(run_until(watch, now, 1s, 0.9) <= 15);
  run_until(watch, now, 10s, 0.9);
  CHECK(run_until(watch, now, 10s, 0.9) <= 20); // three steps every two seconds
  CHECK(watch.lost() > 100ms);
}

TEST_CASE("helpers come back when the neighbour has gone", "[engine][node]") {
  neighbour_watch watch{2};
  neighbour_watch::time_point now{};
  run_until(watch, now, 20s, 0.9);
  run_until(watch, now, 5s, 0.1);
  CHECK(watch.helpers(now) == 2);
  CHECK(run_until(watch, now, 10s, 0.1) == 2000);
}

TEST_CASE("one step that waits very long is enough", "[engine][node]") {
  neighbour_watch watch{1};
  neighbour_watch::time_point now{};
  CHECK(watch.helpers(now) == 1);
  watch.step_ended(now + 30ms, 30ms, 20ms);
  CHECK(watch.helpers(now + 31ms) == 0);
}
