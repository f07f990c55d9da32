// SPDX-License-Identifier: MIT
#include "daemon/pulse.h"

#include "base/log.h"

#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bitnetd::daemon {

namespace {

using clock = std::chrono::steady_clock;

struct pulse_memory {
  static inline constexpr const char* name = "pulse";
  clock::time_point last_sign = clock::now();
  bool asking = false;
};

using pulse_actor = caf::stateful_actor<pulse_memory>;

void good_sign(pulse_actor* self, const actors::health& health, const notifier& systemd) {
  self->state.last_sign = clock::now();
  systemd.feed_watchdog();
  systemd.status(health.line);
}

caf::behavior pulse(pulse_actor* self, const actors::supervisor_actor& supervisor, notifier systemd,
                    std::shared_ptr<pulse_state> known, const pulse_options& options) {
  self->monitor(supervisor);
  self->set_down_handler([=](const caf::down_msg&) {
    known->ended = true;
    known->wake();
    self->quit();
  });
  self->send(self, actors::tick_atom_v);
  return {
      [=](actors::tick_atom) {
        auto& state = self->state;
        self->delayed_send(self, options.interval, actors::tick_atom_v);
        if (clock::now() - state.last_sign > options.patience && !known->ailing.exchange(true)) {
          log::critical("no sign of life from the pipeline for {} s",
                        std::chrono::duration_cast<std::chrono::seconds>(options.patience).count());
          known->wake();
        }
        if (std::exchange(state.asking, true))
          return; // the last question is still open
        self->request(supervisor, options.answer_within, actors::health_atom_v)
            .then(
                [=](const actors::health& health) {
                  self->state.asking = false;
                  if (health.alive)
                    good_sign(self, health, systemd);
                },
                [=](const caf::error&) { self->state.asking = false; });
      },
  };
}

} // namespace

pulse_state::pulse_state() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd < 0)
    throw std::system_error(errno, std::system_category(), "eventfd");
}

pulse_state::~pulse_state() { ::close(fd); }

void pulse_state::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd, &one, sizeof one);
}

caf::actor spawn_pulse(caf::actor_system& system, actors::supervisor_actor supervisor,
                       notifier systemd, std::shared_ptr<pulse_state> state,
                       pulse_options options) {
  return system.spawn(pulse, std::move(supervisor), systemd, std::move(state), std::move(options));
}

} // namespace bitnetd::daemon
