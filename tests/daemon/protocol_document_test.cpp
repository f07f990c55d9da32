// SPDX-License-Identifier: MIT
#include "daemon/wire_errors.h"
#include "daemon/wire_messages.h"
#include "daemon/wire_requests.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>

using namespace bitnetd::wire;

namespace {

std::string document() {
  std::ifstream file(BITNETD_SOURCE_DIR "/docs/protocol.md");
  REQUIRE(file);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace

TEST_CASE("docs/protocol.md lists every error with its code, name and retry",
          "[daemon][protocol]") {
  const auto text = document();
  for (const auto& kind : all_errors()) {
    const auto row = "| " + std::to_string(kind.code) + " | " + std::string(kind.name) + " | " +
                     std::string(kind.retry) + " |";
    INFO(row);
    CHECK(text.find(row) != std::string::npos);
    CHECK(error_with_code(kind.code).name == kind.name);
  }
}

TEST_CASE("docs/protocol.md describes every request with its role and every reply",
          "[daemon][protocol]") {
  const auto text = document();
  const auto requests = text.substr(text.find("\n## Requests"));
  for (const auto& kind : request_kinds()) {
    INFO(kind.type);
    const auto role = "(role " + std::string(to_string(kind.needs)) + ")";
    bool found = false;
    std::istringstream lines(requests);
    for (std::string line; std::getline(lines, line);)
      found = found ||
              (line.find(kind.type) != std::string::npos && line.find(role) != std::string::npos);
    CHECK(found);
  }
  const auto replies = text.substr(text.find("\n## Replies"));
  for (const auto type : reply_types()) {
    INFO(type);
    CHECK(replies.find("\n### " + std::string(type) + "\n") != std::string::npos);
  }
  for (const auto state : job_state_names())
    CHECK(text.find(state) != std::string::npos);
}
