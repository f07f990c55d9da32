// SPDX-License-Identifier: MIT
#include "base/steady_wall_clock.h"

#include <catch2/catch.hpp>

#include <utility>

using namespace bitnetd;
using namespace std::chrono_literals;

TEST_CASE("the wall clock is followed in small steps and not in jumps", "[base][clock]") {
  const wall_time begin{1'750'000'000s};
  wall_time told = begin;
  std::chrono::nanoseconds elapsed{5h};
  const steady_wall_clock clock({[&] { return told; }, [&] { return elapsed; }});
  const auto pass = [&](std::chrono::milliseconds time, std::chrono::seconds correction = 0s) {
    elapsed += time;
    told += time + correction;
  };
  CHECK(clock.wall() == begin);
  pass(10s);
  CHECK(clock.wall() == begin + 10s);
  pass(10s, 1s); // as a time service corrects
  CHECK(clock.wall() == begin + 21s);
  pass(1s, 24h); // as somebody sets it
  CHECK(clock.wall() == begin + 22s);
  pass(1h);
  CHECK(clock.wall() == begin + 22s + 1h);
  pass(1s, -24h); // and back
  CHECK(clock.wall() == begin + 23s + 1h);
  pass(1s, -24h * 3650);
  CHECK(clock.wall() == begin + 24s + 1h);
  pass(8h); // the machine slept: both went on
  CHECK(clock.wall() == begin + 24s + 9h);
}

TEST_CASE("a process that was stopped between two readings has not seen a jump", "[base][clock]") {
  const wall_time begin{1'750'000'000s};
  std::chrono::nanoseconds elapsed{5h};
  std::chrono::hours stops{0}; // before the wall clock is read next
  const steady_wall_clock clock({[&] {
                                   elapsed += std::exchange(stops, 0h);
                                   return begin + std::chrono::duration_cast<wall_time::duration>(
                                                      elapsed - 5h);
                                 },
                                 [&] { return elapsed; }});
  CHECK(clock.wall() == begin);
  stops = 1h;
  CHECK(clock.wall() == begin + 1h);
  CHECK(clock.wall() == begin + 1h);
}

TEST_CASE("the steady wall clock starts at the machine's time", "[base][clock]") {
  const steady_wall_clock clock;
  const auto off = clock.wall() - std::chrono::system_clock::now();
  CHECK(off < 1min);
  CHECK(off > -1min);
}
