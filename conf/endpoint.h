// SPDX-License-Identifier: MIT
#pragma once

#include "conf/value.h"

#include <filesystem>
#include <string_view>

namespace bitnetd::conf {

/// Bytes of a Unix socket's path: sun_path of unix(7) without its final zero.
constexpr std::size_t most_socket_path_bytes = 107;

/// The endpoint with an absolute path: ipc://front.sock becomes ipc:///run/bitnetd/front.sock.
/// Only ipc is served, since only there the file mode decides who may connect; tcp, inproc,
/// wildcards and abstract sockets are refused with the reason.
[[nodiscard]] scalar_result resolve_endpoint(std::string_view text,
                                             const std::filesystem::path& runtime_directory);

} // namespace bitnetd::conf
