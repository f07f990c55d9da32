// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace std::chrono_literals;

TEST_CASE("a manual clock moves only when told to, both clocks alike", "[base][clock]") {
  manual_clock clock;
  const auto mono = clock.mono();
  const auto wall = clock.wall();
  CHECK(clock.mono() == mono);
  clock.advance(1500ms);
  CHECK(clock.mono() - mono == 1500ms);
  CHECK(clock.wall() - wall == 1500ms);
}

TEST_CASE("stored stamps are microseconds since 1970", "[base][clock]") {
  using namespace std::chrono;
  CHECK(to_wall_us(sys_days{1970y / January / 1} + 2s) == 2'000'000);
  CHECK(to_wall_us(sys_days{2026y / January / 1}) == 1'767'225'600'000'000);
}
