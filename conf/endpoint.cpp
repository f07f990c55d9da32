// SPDX-License-Identifier: MIT
#include "conf/endpoint.h"

#include "conf/problem.h"

#include <arpa/inet.h>
#include <charconv>
#include <netinet/in.h>
#include <optional>
#include <string>

namespace bitnetd::conf {

namespace {

constexpr std::string_view tcp_scheme = "tcp://";

/// The address without brackets; nothing when it is none, or the port is none.
std::optional<std::string> split_tcp(std::string_view endpoint) {
  const auto rest = endpoint.substr(tcp_scheme.size());
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  const auto digits = rest.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port < 1 || port > 65535)
    return std::nullopt;
  std::string host{rest.substr(0, colon)};
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  in6_addr any{};
  if (::inet_pton(bracketed ? AF_INET6 : AF_INET, host.c_str(), &any) != 1)
    return std::nullopt;
  return host;
}

} // namespace

bool is_tcp(std::string_view endpoint) { return endpoint.starts_with(tcp_scheme); }

bool is_loopback(std::string_view endpoint) {
  const auto host = split_tcp(endpoint);
  if (!host)
    return false;
  in6_addr six{};
  if (::inet_pton(AF_INET6, host->c_str(), &six) == 1)
    return IN6_IS_ADDR_LOOPBACK(&six);
  return host->starts_with("127.");
}

scalar_result resolve_endpoint(std::string_view text,
                               const std::filesystem::path& runtime_directory) {
  const auto refuse = [](std::string why) { return scalar_result{false, {}, std::move(why)}; };
  constexpr std::string_view scheme = "ipc://";
  if (is_tcp(text)) {
    if (split_tcp(text))
      return {true, std::string{text}, {}};
    return refuse("tcp needs a numeric address and a port, as in tcp://127.0.0.1:5797 or "
                  "tcp://[::1]:5797");
  }
  if (!text.starts_with(scheme))
    return refuse({});
  const auto name = text.substr(scheme.size());
  if (name.empty() || name.ends_with('/'))
    return refuse("the path names no file");
  if (name == "*")
    return refuse("a wildcard is a path that no client knows");
  if (name.starts_with('@'))
    return refuse("an abstract socket has no file mode: every local user could connect");
  const auto path = (runtime_directory / name).lexically_normal().string();
  if (path.size() > most_socket_path_bytes)
    return refuse("the path " + printable(path) + " has " + std::to_string(path.size()) +
                  " bytes, the path of a socket at most " + std::to_string(most_socket_path_bytes));
  return {true, std::string{scheme} + path, {}};
}

} // namespace bitnetd::conf
