// SPDX-License-Identifier: MIT
#include "daemon/command_line.h"

#include <CLI/CLI.hpp>

namespace bitnetd::daemon {

command_line read_command_line(int argc, char** argv) {
  command_line out;
  CLI::App app("bitnetd: serves ternary language models to other programs over ZeroMQ.", "bitnetd");
  app.set_version_flag("--version", "bitnetd " BITNETD_VERSION);
  app.add_option("--config", out.config,
                 "bitnetd.yaml; else $CONFIGURATION_DIRECTORY, /etc/bitnetd, "
                 "$XDG_CONFIG_HOME/bitnetd are looked through");
  app.add_flag("--check", out.check, "check the configuration and end: status 0 or 3");
  app.add_option("--log-level", out.log_level,
                 "instead of the configured one, now and after every reload")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "critical", "off"}));
  app.add_option("--state-directory", out.state, "jobs; else $STATE_DIRECTORY or XDG");
  app.add_option("--cache-directory", out.cache, "answers; else $CACHE_DIRECTORY or XDG");
  app.add_option("--runtime-directory", out.runtime, "sockets; else $RUNTIME_DIRECTORY or XDG");
  app.footer("Exit status: 0 ok, 1 failed, 2 usage, 3 configuration refused, 4 model refused, "
             "5 store refused.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    out.done = app.exit(error) == 0 ? exit_code::ok : exit_code::usage;
  }
  return out;
}

} // namespace bitnetd::daemon
