// SPDX-License-Identifier: MIT
#include "conf/endpoint.h"

#include "conf/problem.h"

#include <string>

namespace bitnetd::conf {

scalar_result resolve_endpoint(std::string_view text,
                               const std::filesystem::path& runtime_directory) {
  const auto refuse = [](std::string why) { return scalar_result{false, {}, std::move(why)}; };
  constexpr std::string_view scheme = "ipc://";
  if (text.starts_with("tcp://"))
    return refuse("tcp is not served: without keys anyone who reaches the port could send jobs");
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
