// SPDX-License-Identifier: MIT
#include "daemon/caf_config.h"

#include <caf/actor_system.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <catch2/catch.hpp>

using namespace bitnetd::daemon;

TEST_CASE("the actors have as many threads as was said, or one where CPUs are few", "[caf]") {
  CHECK(pool_threads(0, 1) == 1);
  CHECK(pool_threads(0, 4) == 1);
  CHECK(pool_threads(0, 5) == 2);
  CHECK(pool_threads(0, 256) == 2);
  CHECK(pool_threads(0, 0) == 1); // nobody knows
  CHECK(pool_threads(7, 2) == 7);

  caf_config settings(pool_threads(3, 2));
  caf::actor_system system(settings);
  CHECK(system.scheduler().num_workers() == 3);
}
