// SPDX-License-Identifier: MIT
#include "conf/directories.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd::conf;

TEST_CASE("systemd's directories come first, and of each list its first", "[conf][directories]") {
  const auto found = find_directories({{"STATE_DIRECTORY", "/var/lib/bitnetd:/var/lib/other"},
                                       {"CACHE_DIRECTORY", "/var/cache/bitnetd"},
                                       {"RUNTIME_DIRECTORY", "/run/bitnetd"},
                                       {"XDG_STATE_HOME", "/x"},
                                       {"HOME", "/home/u"}},
                                      1000);
  CHECK(found.state == "/var/lib/bitnetd");
  CHECK(found.cache == "/var/cache/bitnetd");
  CHECK(found.runtime == "/run/bitnetd");
}

TEST_CASE("without systemd the directories are XDG's", "[conf][directories]") {
  const auto named = find_directories({{"XDG_STATE_HOME", "/x/state"},
                                       {"XDG_CACHE_HOME", "/x/ca:che"},
                                       {"XDG_RUNTIME_DIR", "/run/user/1000"},
                                       {"HOME", "/home/u"}},
                                      1000);
  CHECK(named.state == "/x/state/bitnetd");
  CHECK(named.cache == "/x/ca:che/bitnetd"); // no list
  CHECK(named.runtime == "/run/user/1000/bitnetd");

  const auto at_home = find_directories({{"HOME", "/home/u"}}, 1000);
  CHECK(at_home.state == "/home/u/.local/state/bitnetd");
  CHECK(at_home.cache == "/home/u/.cache/bitnetd");
  CHECK(at_home.runtime == "/tmp/bitnetd-1000");
}

TEST_CASE("relative and empty variables count as not set", "[conf][directories]") {
  const auto found = find_directories({{"STATE_DIRECTORY", "state:/second"},
                                       {"CACHE_DIRECTORY", ""},
                                       {"XDG_CACHE_HOME", "cache"},
                                       {"XDG_RUNTIME_DIR", "."},
                                       {"HOME", "/home/u"}},
                                      7);
  CHECK(found.state == "/second");
  CHECK(found.cache == "/home/u/.cache/bitnetd");
  CHECK(found.runtime == "/tmp/bitnetd-7");
}

TEST_CASE("without any place for data the error names what to set", "[conf][directories]") {
  CHECK_THROWS_WITH(find_directories({}, 0), "no directory to keep data in: set STATE_DIRECTORY, "
                                             "XDG_STATE_HOME or HOME to an absolute path");
}

TEST_CASE("the configuration is searched in order", "[conf][directories]") {
  using paths = std::vector<std::filesystem::path>;
  const environment all{{"CONFIGURATION_DIRECTORY", "/c1:/c2"}, {"XDG_CONFIG_HOME", "/x"}};
  CHECK(config_candidates(all, {}) == paths{"/c1/bitnetd.yaml", "/c2/bitnetd.yaml",
                                            "/etc/bitnetd/bitnetd.yaml",
                                            "/x/bitnetd/bitnetd.yaml"});
  CHECK(config_candidates({{"HOME", "/h"}}, {}) ==
        paths{"/etc/bitnetd/bitnetd.yaml", "/h/.config/bitnetd/bitnetd.yaml"});
  CHECK(config_candidates(all, "/my.yaml") == paths{"/my.yaml"});
  CHECK(find_config({}, "/not/there.yaml") == "/not/there.yaml");
}

TEST_CASE_METHOD(conf_fixture, "the first configuration that exists is taken",
                 "[conf][directories]") {
  directory.write("second/bitnetd.yaml", "");
  const auto root = directory.path().string();
  const auto found =
      find_config({{"CONFIGURATION_DIRECTORY", root + "/first:" + root + "/second"}});
  CHECK(found == directory.path() / "second/bitnetd.yaml");
  if (!std::filesystem::exists("/etc/bitnetd/bitnetd.yaml"))
    CHECK_THROWS_WITH(find_config({{"CONFIGURATION_DIRECTORY", "/nowhere"}}),
                      "no configuration found; looked for /nowhere/bitnetd.yaml, "
                      "/etc/bitnetd/bitnetd.yaml; name one with --config FILE");
}
