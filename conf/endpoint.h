// SPDX-License-Identifier: MIT
#pragma once

#include "conf/value.h"

#include <filesystem>
#include <string_view>

namespace bitnetd::conf {

/// Bytes of a Unix socket's path: sun_path of unix(7) without its final zero.
constexpr std::size_t most_socket_path_bytes = 107;

/// The endpoint with an absolute path: ipc://front.sock becomes ipc:///run/bitnetd/front.sock.
/// tcp takes a numeric address and a port (tcp://127.0.0.1:5797, tcp://[::1]:5797): a name could
/// mean another machine tomorrow. inproc, wildcards and abstract sockets are refused with the
/// reason. Who may connect to tcp is checked with the other keys (checks.h).
[[nodiscard]] scalar_result resolve_endpoint(std::string_view text,
                                             const std::filesystem::path& runtime_directory);

[[nodiscard]] bool is_tcp(std::string_view endpoint);
/// Whether a resolved tcp endpoint is reached from this machine only: 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(std::string_view endpoint);

} // namespace bitnetd::conf
