// SPDX-License-Identifier: MIT
#include "daemon/caf_config.h"
#include "daemon/pulse.h"
#include "front_fixture.h"

#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

using namespace bitnetd;
using namespace bitnetd::daemon;
using namespace bitnetd::daemon::test;

namespace {

// systemd's end of $NOTIFY_SOCKET.
class notify_socket {
public:
  explicit notify_socket(const std::filesystem::path& directory)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto file = directory / "notify";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, file.c_str());
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", file.c_str(), 1);
  }
  ~notify_socket() {
    ::unsetenv("NOTIFY_SOCKET");
    ::close(fd_);
  }
  notify_socket(const notify_socket&) = delete;
  notify_socket& operator=(const notify_socket&) = delete;

  // The next message, or nothing within the time.
  std::string next(std::chrono::milliseconds time) const {
    const timeval limit{time.count() / 1000, (time.count() % 1000) * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char buffer[512];
    const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
  }

private:
  int fd_;
};

enum class answer { alive, not_alive, none };

// A supervisor that answers for its health as it is told to.
caf::behavior supervisor_stand_in(caf::event_based_actor* self, std::atomic<answer>* how) {
  self->set_default_handler(caf::drop);
  return {[self, how](actors::health_atom) -> caf::result<actors::health> {
    if (*how == answer::none) {
      (void)self->make_response_promise(); // dropped: never answered
      return caf::delegated<actors::health>{};
    }
    actors::health health;
    health.alive = *how == answer::alive;
    health.draining = true;
    health.line = "ready; all\nwell";
    return health;
  }};
}

struct pulse_fixture {
  caf_config settings{2};
  caf::actor_system system{settings};
  std::atomic<answer> how{answer::alive};
  caf::actor supervisor = system.spawn(supervisor_stand_in, &how);
  std::shared_ptr<pulse_state> known = std::make_shared<pulse_state>();
  caf::actor pulse;

  void start() {
    pulse_options options;
    options.interval = 20ms;
    options.answer_within = 50ms;
    options.patience = 300ms;
    pulse = spawn_pulse(system, caf::actor_cast<actors::supervisor_actor>(supervisor), {}, known,
                        options);
  }
  ~pulse_fixture() {
    caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown);
    caf::scoped_actor(system)->wait_for(pulse); // it ends with the supervisor
  }
};

} // namespace

TEST_CASE("the watchdog is fed after good answers, with a status of one line",
          "[daemon][service]") {
  front_fixture::own_directory directory;
  const notify_socket systemd(directory.path);
  pulse_fixture house;
  house.start();
  for (int i = 0; i < 3; ++i) {
    CHECK(systemd.next(60s) == "WATCHDOG=1");
    CHECK(systemd.next(60s) == "STATUS=ready; all well");
  }
  CHECK_FALSE(house.known->ailing);
}

TEST_CASE("the watchdog is not fed by a pipeline that is not well or does not answer",
          "[daemon][service]") {
  front_fixture::own_directory directory;
  const notify_socket systemd(directory.path);
  pulse_fixture house;
  house.how = GENERATE(answer::not_alive, answer::none);
  house.start();
  CHECK(systemd.next(250ms).empty());
  for (int i = 0; i < 6000 && !house.known->ailing; ++i)
    std::this_thread::sleep_for(10ms);
  CHECK(house.known->ailing); // without systemd the service itself gives up on it
  CHECK(systemd.next(50ms).empty());

  house.how = answer::alive; // back again: fed again
  CHECK(systemd.next(60s) == "WATCHDOG=1");
}

TEST_CASE("the end of the supervisor is noticed", "[daemon][service]") {
  pulse_fixture house;
  house.start();
  caf::anon_send_exit(house.supervisor, caf::exit_reason::user_shutdown);
  for (int i = 0; i < 6000 && !house.known->ended; ++i)
    std::this_thread::sleep_for(10ms);
  CHECK(house.known->ended);
}

TEST_CASE("what systemd is told is what sd_notify(3) asks for", "[daemon][service]") {
  front_fixture::own_directory directory;
  const notifier tell;
  tell.ready("nobody listens"); // and nothing happens
  const notify_socket systemd(directory.path);
  tell.extend(std::chrono::seconds(30));
  tell.ready("3 running");
  tell.stopping("draining");
  CHECK(systemd.next(60s) == "EXTEND_TIMEOUT_USEC=30000000");
  CHECK(systemd.next(60s) == "READY=1\nSTATUS=3 running");
  CHECK(systemd.next(60s) == "STOPPING=1\nSTATUS=draining");

  ::unsetenv("WATCHDOG_USEC");
  CHECK_FALSE(notifier::watchdog_interval());
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  CHECK(notifier::watchdog_interval() == std::chrono::seconds(30));
  ::unsetenv("WATCHDOG_USEC");
}
