// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace bitnetd::ctl {

/// Checks a configuration as the daemon would read it, without one: every problem with file, line
/// and column on standard error, exit status 3. `as_json`: problems as JSON lines on standard
/// output.
[[nodiscard]] int run_validate(const std::string& file, bool as_json);

/// Lists every key of the configuration with its bounds, default and effect.
[[nodiscard]] int run_schema(bool as_json);

} // namespace bitnetd::ctl
