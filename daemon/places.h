// SPDX-License-Identifier: MIT
#pragma once

#include "conf/directories.h"
#include "conf/machine.h"
#include "daemon/command_line.h"

#include <filesystem>

namespace bitnetd::daemon {

/// The directories: from the command line, else as conf finds them.
[[nodiscard]] conf::directories find_places(const command_line& options,
                                            const conf::environment& variables);

/// Creates what is not there, for its owner alone. Throws std::runtime_error when that fails, or
/// when a directory for sockets that was there belongs to another user or may be written by one:
/// whoever owns it could put a socket of his own in our place.
void make_places(const conf::directories& places);

/// This machine with what its CPU can run: what a configuration is checked against.
[[nodiscard]] conf::machine machine_here();

/// Loads the configuration and says what is wrong with it, or that it is good. The exit status.
[[nodiscard]] int check_configuration(const std::filesystem::path& file,
                                      const conf::directories& places);

} // namespace bitnetd::daemon
