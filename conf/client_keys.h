// SPDX-License-Identifier: MIT
#pragma once

#include "conf/problem.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// CURVE keys as files of text: one key of 40 Z85 characters (ZeroMQ RFC 32) per line, `#` begins a
// comment line. A file of clients.d lists the public keys of the principal that it is named after.

namespace bitnetd::conf {

/// Where things lie, beside bitnetd.yaml.
inline constexpr std::string_view clients_folder = "clients.d", public_ending = ".pub",
                                  server_key_name = "server.key";

/// 32 bytes as Z85: what ZeroMQ takes for a key.
[[nodiscard]] bool is_curve_key(std::string_view text);

/// The keys of a file's text with their lines, and every other line as a problem.
[[nodiscard]] std::vector<std::pair<std::string, std::uint32_t>>
parse_keys(std::string_view text, const std::string& file, std::vector<problem>& problems);

/// All keys of clients.d beside the configuration: key -> principal. A key belongs to one
/// principal; a file's name without `.pub` is a principal's name.
[[nodiscard]] std::map<std::string, std::string>
read_client_keys(const std::filesystem::path& beside, std::vector<problem>& problems);

/// The file of the server's secret key: systemd's credential `server.key` where there is one, else
/// server.key beside the configuration. It need not exist: only sockets with curve read it.
[[nodiscard]] std::filesystem::path server_key_file(const std::filesystem::path& config_file,
                                                    const std::filesystem::path& credentials);

} // namespace bitnetd::conf
