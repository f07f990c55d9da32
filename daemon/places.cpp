// SPDX-License-Identifier: MIT
#include "daemon/places.h"

#include "conf/load.h"
#include "engine/kernels/kernel_table.h"

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace bitnetd::daemon {

namespace {

void make_directory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    throw std::runtime_error("cannot create " + path.native() + ": " +
                             std::system_category().message(errno));
}

void check_own(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    throw std::runtime_error(path.native() + ": expected a directory");
  if (info.st_uid != ::geteuid() || (info.st_mode & S_IWOTH) != 0)
    throw std::runtime_error(path.native() +
                             ": belongs to another user, or anyone may write to it; name another "
                             "with --runtime-directory");
}

} // namespace

conf::directories find_places(const command_line& options, const conf::environment& variables) {
  conf::directories out;
  const bool all_given = options.state && options.cache && options.runtime;
  if (!all_given) // a service user without a home may still name all three
    out = conf::find_directories(variables, ::getuid());
  const auto take = [](const std::optional<std::filesystem::path>& given,
                       std::filesystem::path& place) {
    if (given)
      place = std::filesystem::absolute(*given).lexically_normal();
  };
  take(options.state, out.state);
  take(options.cache, out.cache);
  take(options.runtime, out.runtime);
  return out;
}

void make_places(const conf::directories& places) {
  for (const auto& path : {places.state, places.cache, places.runtime})
    make_directory(path);
  check_own(places.runtime);
}

conf::machine machine_here() {
  auto here = conf::this_machine();
  here.isas = engine::supported_isas();
  return here;
}

int check_configuration(const std::filesystem::path& file, const conf::directories& places) {
  const auto loaded = conf::load(file, places, machine_here());
  if (!loaded.value) {
    std::fprintf(stderr, "%s\n", conf::text(loaded.problems).c_str());
    return exit_code::config_refused;
  }
  std::printf("%s: good: %zu models, %zu sockets, profile %s\n", file.c_str(),
              loaded.value->models.size(), loaded.value->sockets.size(),
              loaded.value->profile.name.c_str());
  return exit_code::ok;
}

} // namespace bitnetd::daemon
