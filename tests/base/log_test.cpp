// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <catch2/catch.hpp>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

using namespace bitnetd;

TEST_CASE("the level decides what is written; an unknown word changes nothing", "[base][log]") {
  std::ostringstream text;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_st>(text)));
  CHECK(log::set_level("warn"));
  CHECK_FALSE(log::set_level("loud"));
  log::info("quiet {}", 1);
  log::warn("heard {}", 2);
  spdlog::set_default_logger(before);
  CHECK(text.str().find("quiet") == std::string::npos);
  CHECK(text.str().find("heard 2") != std::string::npos);
  CHECK(log::set_level("info"));
}
