// SPDX-License-Identifier: MIT
#include "daemon/service.h"

#include "base/log.h"

#include <caf/send.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <future>
#include <optional>
#include <poll.h>
#include <sys/signalfd.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace bitnetd::daemon {

namespace {

using clock = std::chrono::steady_clock;

// After its limit a drain has this long to write what there is and end its actors.
constexpr std::chrono::seconds closing_time{15};

// Waits for one of the descriptors, at most so long.
void wait_for(std::array<pollfd, 3>& files, std::chrono::milliseconds most) {
  if (::poll(files.data(), files.size(), static_cast<int>(most.count())) < 0 && errno != EINTR)
    throw std::system_error(errno, std::system_category(), "poll");
}

} // namespace

signals::signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int one : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&set, one);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0)
    throw std::system_error(errno, std::system_category(), "signalfd");
}

signals::~signals() { ::close(fd_); }

int signals::next() const {
  signalfd_siginfo info{};
  return ::read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

bool load_interruptibly(const signals& signals, const notifier& systemd,
                        std::function<void()> load) {
  // Shared, because an interrupted load outlives this function.
  auto done = std::make_shared<std::promise<void>>();
  auto result = done->get_future();
  std::thread([done, load = std::move(load)] {
    try {
      load();
      done->set_value();
    } catch (...) {
      done->set_exception(std::current_exception());
    }
  }).detach();
  constexpr std::chrono::seconds patience{30};
  std::optional<clock::time_point> told;
  while (result.wait_for(std::chrono::milliseconds{50}) != std::future_status::ready) {
    const int signal = signals.next();
    if (signal == SIGTERM || signal == SIGINT)
      return false;
    if (!told || clock::now() - *told > patience / 3) {
      told = clock::now();
      systemd.extend(patience);
    }
  }
  result.get();
  return true;
}

int service::run(caf::actor_system& system, const actors::supervisor_actor& supervisor) {
  with_.door.set_state(front_state::ready);
  with_.systemd.ready("ready"); // before the first sign of life
  auto known = std::make_shared<pulse_state>();
  pulse_options options;
  if (const auto watchdog = notifier::watchdog_interval())
    options.interval = std::min(
        options.interval, std::chrono::duration_cast<std::chrono::milliseconds>(*watchdog / 3));
  spawn_pulse(system, supervisor, with_.systemd, known, options);
  while (!known->ended) {
    std::array<pollfd, 3> files{{{with_.from_outside.fd(), POLLIN, 0},
                                 {with_.watcher.fd(), POLLIN, 0},
                                 {known->fd, POLLIN, 0}}};
    wait_for(files, with_.watcher.wait().value_or(std::chrono::seconds{1}));
    while (const int signal = with_.from_outside.next())
      on_signal(supervisor, signal);
    if (with_.watcher.relevant_change() && !stopping_)
      caf::anon_send(supervisor, actors::changed_atom_v);
    if (known->ailing || (stopping_ && clock::now() > give_up_)) {
      log::critical("the pipeline does not come to an end: leaving without it");
      with_.door.stop();
      ::_exit(1); // its actors would be waited for
    }
  }
  if (!stopping_)
    log::critical("the pipeline ended by itself");
  return stopping_ ? 0 : 1;
}

void service::on_signal(const actors::supervisor_actor& supervisor, int signal) {
  if (signal == SIGHUP) {
    log::info("SIGHUP: reading the configuration again");
    caf::anon_send(supervisor, actors::changed_atom_v);
    return;
  }
  const bool again = std::exchange(stopping_, true);
  const auto limit = again ? std::chrono::seconds{0} : with_.drain_timeout();
  log::info("{}: {}", signal == SIGTERM ? "SIGTERM" : "SIGINT",
            again ? "once more: ending now" : "draining, then ending");
  begin_stop(supervisor, limit);
}

void service::begin_stop(const actors::supervisor_actor& supervisor, std::chrono::seconds limit) {
  with_.door.set_state(front_state::draining);
  with_.systemd.stopping("draining");
  with_.systemd.extend(limit + 2 * closing_time);
  give_up_ = clock::now() + limit + closing_time;
  caf::anon_send(supervisor, actors::stop_atom_v, static_cast<std::uint32_t>(limit.count()));
}

} // namespace bitnetd::daemon
