// SPDX-License-Identifier: MIT
#pragma once

#include "tests/support/program.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::tests {

/// Runs bitnet-model with these arguments.
inline program_result tool(std::vector<std::string> arguments, std::string_view input = {}) {
  arguments.insert(arguments.begin(), BITNET_MODEL);
  return run_program(std::move(arguments), input);
}

/// A path in the tree's golden folder.
inline std::filesystem::path golden(std::string_view name) {
  return std::filesystem::path{BITNETD_SOURCE_DIR} / "tests" / "golden" / name;
}

/// The token sequences of a golden folder, one per line.
inline std::string token_lines(const nlohmann::json& cases) {
  std::string text;
  for (const auto& one : cases) {
    for (const auto& token : one.at("tokens"))
      text += token.dump() + " ";
    text += "\n";
  }
  return text;
}

} // namespace bitnetd::tests
