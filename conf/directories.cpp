// SPDX-License-Identifier: MIT
#include "conf/directories.h"

#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace bitnetd::conf {

namespace {

namespace fs = std::filesystem;

constexpr const char* names_of_variables[] = {
    "STATE_DIRECTORY",         "CACHE_DIRECTORY", "RUNTIME_DIRECTORY",
    "CONFIGURATION_DIRECTORY", "XDG_STATE_HOME",  "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",         "XDG_CONFIG_HOME", "HOME",
    "CREDENTIALS_DIRECTORY"};

std::vector<fs::path> absolute_paths(const environment& variables, const std::string& name) {
  std::vector<fs::path> out;
  const auto found = variables.find(name);
  if (found == variables.end())
    return out;
  std::string_view rest = found->second;
  while (!rest.empty()) {
    const auto end = rest.find(':');
    if (const fs::path part{rest.substr(0, end)}; part.is_absolute())
      out.push_back(part.lexically_normal());
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return out;
}

// One path, which may contain a colon: only systemd's variables are lists.
std::optional<fs::path> absolute_path(const environment& variables, const std::string& name) {
  const auto found = variables.find(name);
  if (found == variables.end() || !fs::path{found->second}.is_absolute())
    return std::nullopt;
  return fs::path{found->second}.lexically_normal();
}

std::optional<fs::path> xdg(const environment& variables, const std::string& name,
                            const char* under_home) {
  if (const auto own = absolute_path(variables, name))
    return *own / "bitnetd";
  if (const auto home = absolute_path(variables, "HOME"))
    return *home / under_home / "bitnetd";
  return std::nullopt;
}

fs::path lasting(const environment& variables, const std::string& of_systemd,
                 const std::string& of_xdg, const char* under_home) {
  if (const auto listed = absolute_paths(variables, of_systemd); !listed.empty())
    return listed.front();
  if (const auto found = xdg(variables, of_xdg, under_home))
    return *found;
  throw std::runtime_error("no directory to keep data in: set " + of_systemd + ", " + of_xdg +
                           " or HOME to an absolute path");
}

fs::path runtime(const environment& variables, uid_t user) {
  if (const auto listed = absolute_paths(variables, "RUNTIME_DIRECTORY"); !listed.empty())
    return listed.front();
  if (const auto own = absolute_path(variables, "XDG_RUNTIME_DIR"))
    return *own / "bitnetd";
  return "/tmp/bitnetd-" + std::to_string(user);
}

} // namespace

environment process_environment() {
  environment out;
  for (const auto* name : names_of_variables)
    if (const char* text = std::getenv(name))
      out.emplace(name, text);
  return out;
}

directories find_directories(const environment& variables, uid_t user) {
  return {lasting(variables, "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state"),
          lasting(variables, "CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache"),
          runtime(variables, user),
          absolute_path(variables, "CREDENTIALS_DIRECTORY").value_or(fs::path{})};
}

std::vector<fs::path> config_candidates(const environment& variables,
                                        const std::optional<fs::path>& given) {
  if (given)
    return {*given};
  auto out = absolute_paths(variables, "CONFIGURATION_DIRECTORY");
  out.emplace_back("/etc/bitnetd");
  if (const auto own = xdg(variables, "XDG_CONFIG_HOME", ".config"))
    out.push_back(*own);
  for (auto& directory : out)
    directory /= "bitnetd.yaml";
  return out;
}

fs::path find_config(const environment& variables, const std::optional<fs::path>& given) {
  if (given)
    return *given;
  std::string tried;
  for (const auto& candidate : config_candidates(variables, std::nullopt)) {
    std::error_code unreadable; // not there, or not for us: the next one may be
    if (fs::exists(candidate, unreadable))
      return candidate;
    tried += (tried.empty() ? "" : ", ") + candidate.string();
  }
  throw std::runtime_error("no configuration found; looked for " + tried +
                           "; name one with --config FILE");
}

} // namespace bitnetd::conf
