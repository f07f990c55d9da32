// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace bitnetd::daemon {

/// Exit status of bitnetd.
namespace exit_code {
inline constexpr int ok = 0;
inline constexpr int failed = 1;
inline constexpr int usage = 2;
inline constexpr int config_refused = 3;
inline constexpr int model_refused = 4;
inline constexpr int store_refused = 5;
} // namespace exit_code

struct command_line {
  std::optional<int> done; ///< nothing more to do: help, version, or a mistake was printed
  std::optional<std::filesystem::path> config, state, cache, runtime;
  std::optional<std::string> log_level;
  bool check = false;
};

/// Reads the command line; prints help, version and mistakes itself.
[[nodiscard]] command_line read_command_line(int argc, char** argv);

} // namespace bitnetd::daemon
