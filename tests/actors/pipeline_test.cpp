// SPDX-License-Identifier: MIT
#include "tests/actors/pipeline_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

TEST_CASE("a prompt goes through the pipeline and comes back answered", "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  request_maker what{"Say something."};
  what.what.trace = true;
  const auto told = pipeline.ask(what);
  REQUIRE(told.result());
  CHECK(told.ends == 1);
  CHECK(told.result()->state == job_state::done);
  CHECK(told.result()->what->used.completion_tokens <= 8);
  CHECK(told.result()->what->failed_checks == std::vector<std::string>{});
  CHECK(told.released_jobs == 1);
  std::vector<std::string> phases;
  for (const auto& line : told.result()->trace)
    phases.push_back(line.phase);
  CHECK(phases == std::vector<std::string>{"analysis", "cache", "batching", "combination"});

  const auto again = pipeline.ask(what);
  REQUIRE(again.result());
  CHECK(again.result()->cache.status == cache_status::hit);
  CHECK(again.text() == told.text());
}
