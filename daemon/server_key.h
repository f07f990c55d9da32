// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>

namespace bitnetd::daemon {

/// The server's secret CURVE key (40 Z85 characters). Throws front_error, with the command that
/// helps, when the file is not there, holds something else, or others may read it.
[[nodiscard]] std::string read_server_key(const std::filesystem::path& file);

} // namespace bitnetd::daemon
