// SPDX-License-Identifier: MIT
#include "actors/supervisor.h"
#include "base/log.h"
#include "base/steady_wall_clock.h"
#include "conf/directories.h"
#include "conf/reload.h"
#include "conf/watch.h"
#include "daemon/caf_config.h"
#include "daemon/command_line.h"
#include "daemon/front.h"
#include "daemon/outbox.h"
#include "daemon/places.h"
#include "daemon/replies.h"
#include "daemon/requests.h"
#include "daemon/service.h"
#include "engine/errors.h"
#include "store/status.h"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <unistd.h>

// bitnetd: read the configuration, open the sockets, load, serve, drain. Exit status: exit_code in
// command_line.h.

namespace {

using namespace bitnetd;
using namespace bitnetd::daemon;

// The actor system waits for every actor. One that does not end must not hold the process:
// SIGALRM then ends it.
void end_soon(const gate_actor& outbox) {
  ::alarm(15);
  caf::anon_send_exit(outbox, caf::exit_reason::user_shutdown);
}

// The daemon between a good configuration and its end.
int serve(const command_line& options, const std::shared_ptr<conf::configuration>& settings,
          conf::watcher& watcher, const signals& signals) {
  const notifier systemd;
  const auto config = settings->current();
  const auto time = std::make_shared<const steady_wall_clock>();
  front_options door_options;
  door_options.config = config;
  door_options.time = time;
  door_options.version = BITNETD_VERSION;
  front door(std::move(door_options));

  caf_config caf_settings(
      pool_threads(config->hardware.caf_threads, std::thread::hardware_concurrency()));
  caf::actor_system system(caf_settings);
  const auto outbox = spawn_outbox(system, door.queue(), door.epoch());

  actors::supervisor_actor supervisor;
  bool loaded = false;
  try {
    loaded = load_interruptibly(signals, systemd, [&] {
      actors::supervisor_options parts;
      parts.settings = settings;
      parts.time = time;
      parts.outbox = outbox;
      parts.door = outbox;
      parts.decode = decode_stored_body;
      parts.encode = encode_result_body;
      parts.log_level = options.log_level;
      supervisor = actors::spawn_supervisor(system, std::move(parts));
    });
  } catch (...) {
    end_soon(outbox);
    throw;
  }
  if (!loaded) {
    log::info("told to end while loading");
    door.stop();
    ::_exit(exit_code::ok); // the loading thread cannot be told; nothing was accepted yet
  }
  service life({signals, systemd, watcher, door,
                [settings] { return settings->current()->limits.drain_timeout; }});
  const int status = life.run(system, supervisor);
  supervisor = nullptr;

  end_soon(outbox);
  caf::scoped_actor(system)->wait_for(outbox); // the last replies are in the queue
  door.stop();
  log::info("ended");
  return status;
}

} // namespace

int main(int argc, char** argv) {
  const auto options = read_command_line(argc, argv);
  if (options.done)
    return *options.done;
  log::to_standard_error();
  if (options.log_level)
    log::set_level(*options.log_level);
  try {
    const auto variables = conf::process_environment();
    const auto places = find_places(options, variables);
    const auto file = conf::find_config(variables, options.config);
    if (options.check)
      return check_configuration(file, places);

    const signals signals; // before any thread
    const system_clock time;
    conf::watcher watcher(file, time); // before loading: no change falls between
    const auto settings = std::make_shared<conf::configuration>(file, places, machine_here());
    if (!options.log_level)
      log::set_level(settings->current()->log.level);
    make_places(places);
    log::info("bitnetd {}: {}", BITNETD_VERSION, file.native());
    return serve(options, settings, watcher, signals);
  } catch (const conf::config_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return exit_code::config_refused;
  } catch (const engine::load_error& error) {
    log::critical("model refused: {}", error.what());
    return exit_code::model_refused;
  } catch (const store::open_error& error) {
    log::critical("store refused: {}", error.what());
    return exit_code::store_refused;
  } catch (const std::exception& error) {
    log::critical("{}", error.what());
    return exit_code::failed;
  }
}
