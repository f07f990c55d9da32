// SPDX-License-Identifier: MIT
#include "daemon/front_address.h"
#include "front_fixture.h"

#include <cstring>
#include <fstream>
#include <sys/socket.h>
#include <sys/un.h>

using namespace bitnetd;
using namespace bitnetd::daemon;
using namespace bitnetd::daemon::test;

namespace {

// A bound Unix socket; listening or, as a dead process leaves it, not.
int bound_socket(const std::filesystem::path& file, bool listening) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, file.c_str());
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  if (listening)
    REQUIRE(::listen(fd, 1) == 0);
  return fd;
}

} // namespace

TEST_CASE("endpoints are ipc files, relative ones in the runtime directory", "[daemon][address]") {
  CHECK(ipc_file("ipc://front.sock", "/run/bitnetd") == "/run/bitnetd/front.sock");
  CHECK(ipc_file("ipc:///tmp/x", "/run/bitnetd") == "/tmp/x");
  for (const char* bad :
       {"tcp://127.0.0.1:5797", "ipc://", "ipc://@abstract", "ipc://*", "front", "inproc://x", ""})
    CHECK_THROWS_AS(ipc_file(bad, "/run"), front_error);
  CHECK_NOTHROW(ipc_file("ipc:///" + std::string(106, 'x'), ""));
  CHECK_THROWS_WITH(ipc_file("ipc:///" + std::string(107, 'x'), ""), Catch::Contains("108 bytes"));
}

TEST_CASE("a dead process's socket is removed, a living one's and a file are not",
          "[daemon][address]") {
  front_fixture::own_directory directory;
  const auto file = directory.path / "s";
  CHECK_NOTHROW(clear_stale_socket(file)); // nothing there

  ::close(bound_socket(file, false));
  clear_stale_socket(file);
  CHECK_FALSE(std::filesystem::exists(file));

  const int alive = bound_socket(file, true);
  CHECK_THROWS_WITH(clear_stale_socket(file), Catch::Contains("another bitnetd is running"));
  CHECK(std::filesystem::exists(file));
  ::close(alive);
  clear_stale_socket(file);
  CHECK_FALSE(std::filesystem::exists(file));

  std::ofstream(file) << "precious";
  CHECK_THROWS_WITH(clear_stale_socket(file), Catch::Contains("no socket"));
  CHECK(std::filesystem::exists(file));
}

TEST_CASE("a second front in the same runtime directory is refused and harms nothing",
          "[daemon][address]") {
  front_fixture house;
  front_options options;
  auto config = std::make_shared<conf::config>();
  config->runtime_directory = house.directory.path;
  config->sockets = {{"front", "ipc://front.sock", "router", "local", conf::role::submit, 0660}};
  options.config = config;
  CHECK_THROWS_WITH(front(options), Catch::Contains("another bitnetd is running"));

  // Another runtime directory does not make the same socket free.
  front_fixture::own_directory elsewhere;
  auto other = std::make_shared<conf::config>(*config);
  other->runtime_directory = elsewhere.path;
  other->sockets[0].endpoint = "ipc://" + (house.directory.path / "front.sock").native();
  options.config = other;
  CHECK_THROWS_WITH(front(options), Catch::Contains("another bitnetd is running"));

  auto client = house.open("front.sock");
  CHECK(client.ask("ping", "{}").type == "pong");
}
