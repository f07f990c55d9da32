// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/endpoint.h"

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace bitnetd::ctl {

namespace {

namespace fs = std::filesystem;
constexpr std::string_view scheme = "ipc://";

std::string from_path(fs::path path) {
  std::error_code error;
  if (fs::is_directory(path, error))
    path /= "front.sock";
  return std::string(scheme) + fs::absolute(path).lexically_normal().native();
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

} // namespace

std::string find_front(const std::optional<std::string>& given) {
  if (const auto* named = given ? given->c_str() : variable("BITNETD_SOCKET")) {
    const std::string_view text = named;
    if (text.starts_with("tcp://"))
      return named;
    return from_path(text.starts_with(scheme) ? text.substr(scheme.size()) : text);
  }
  std::vector<fs::path> directories;
  if (const auto* value = variable("RUNTIME_DIRECTORY"))
    directories.emplace_back(value);
  if (const auto* value = variable("XDG_RUNTIME_DIR"))
    directories.push_back(fs::path(value) / "bitnetd");
  directories.emplace_back("/tmp/bitnetd-" + std::to_string(::getuid()));
  for (const auto& directory : directories) {
    std::error_code error;
    if (fs::exists(directory / "front.sock", error))
      return from_path(directory / "front.sock");
  }
  return "ipc:///run/bitnetd/front.sock";
}

std::string admin_beside(const std::string& front) {
  constexpr std::string_view word = "front";
  const auto name = front.rfind('/') + 1;
  const auto at = front.rfind(word);
  if (at == std::string::npos || at < name)
    return front;
  return std::string(front).replace(at, word.size(), "admin");
}

} // namespace bitnetd::ctl
