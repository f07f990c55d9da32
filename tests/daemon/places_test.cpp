// SPDX-License-Identifier: MIT
#include "daemon/places.h"
#include "front_fixture.h"

#include <sys/stat.h>

using namespace bitnetd;
using namespace bitnetd::daemon;

namespace {

command_line read(std::vector<std::string> words) {
  words.insert(words.begin(), "bitnetd");
  std::vector<char*> arguments;
  for (auto& word : words)
    arguments.push_back(word.data());
  return read_command_line(static_cast<int>(arguments.size()), arguments.data());
}

} // namespace

TEST_CASE("the command line is read, and mistakes in it end with 2", "[daemon][command_line]") {
  const auto all = read({"--config", "a.yaml", "--log-level", "debug", "--state-directory", "s",
                         "--cache-directory", "c", "--runtime-directory", "r"});
  CHECK_FALSE(all.done);
  CHECK(all.config == std::filesystem::path("a.yaml"));
  CHECK(all.log_level == "debug");
  CHECK(all.state == std::filesystem::path("s"));
  CHECK(all.runtime == std::filesystem::path("r"));
  CHECK_FALSE(all.check);
  CHECK(read({"--check"}).check);
  CHECK(read({"--version"}).done == exit_code::ok);
  CHECK(read({"--help"}).done == exit_code::ok);
  CHECK(read({"--log-level", "loud"}).done == exit_code::usage);
  CHECK(read({"--unknown"}).done == exit_code::usage);
  CHECK(read({"stray"}).done == exit_code::usage);
}

TEST_CASE("directories come from the command line, else from the environment",
          "[daemon][command_line]") {
  command_line options;
  options.runtime = "/run/../run/x";
  const auto some = find_places(options, {{"STATE_DIRECTORY", "/var/lib/bitnetd"},
                                          {"CACHE_DIRECTORY", "/var/cache/bitnetd"},
                                          {"RUNTIME_DIRECTORY", "/run/bitnetd"}});
  CHECK(some.state == "/var/lib/bitnetd");
  CHECK(some.cache == "/var/cache/bitnetd");
  CHECK(some.runtime == "/run/x");
  options.state = options.cache = "here";
  CHECK(find_places(options, {}).state == std::filesystem::current_path() / "here");
}

TEST_CASE("directories are made for the owner alone, and a foreign one is refused",
          "[daemon][command_line]") {
  daemon::test::front_fixture::own_directory home;
  conf::directories places{home.path / "a/state", home.path / "a/cache", home.path / "a/run"};
  make_places(places);
  make_places(places); // again: they are there
  struct stat info {};
  REQUIRE(::stat(places.runtime.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777u) == 0700);

  REQUIRE(::chmod(places.runtime.c_str(), 0777) == 0);
  CHECK_THROWS_WITH(make_places(places), Catch::Contains("--runtime-directory"));
  places.runtime = "/proc/nowhere/run";
  CHECK_THROWS_WITH(make_places(places), Catch::Contains("/proc/nowhere/run"));
}
