// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace bitnetd::conf {

/// Variables of the environment; passed in, so that tests own them.
using environment = std::map<std::string, std::string>;

/// The variables of this process that this folder reads.
[[nodiscard]] environment process_environment();

/// Where the daemon keeps what. Nothing is created here.
struct directories {
  std::filesystem::path state;         ///< jobs
  std::filesystem::path cache;         ///< answers, step costs: may be deleted
  std::filesystem::path runtime;       ///< sockets
  std::filesystem::path credentials{}; ///< systemd's, with secrets for this service; may be empty
};

/// systemd's $STATE_DIRECTORY, $CACHE_DIRECTORY and $RUNTIME_DIRECTORY (the first of a colon
/// list) and $CREDENTIALS_DIRECTORY, else `bitnetd` under XDG's directories, else under
/// /tmp/bitnetd-UID for the sockets (whoever creates that one must check that it is its own).
/// Relative values are ignored, as XDG wants. Throws std::runtime_error naming the variable to set
/// when there is no home either.
[[nodiscard]] directories find_directories(const environment& variables, uid_t user);

/// Where bitnetd.yaml may stand, in the order of the search: `given` alone if there is one, else
/// each of $CONFIGURATION_DIRECTORY, /etc/bitnetd, $XDG_CONFIG_HOME/bitnetd.
[[nodiscard]] std::vector<std::filesystem::path>
config_candidates(const environment& variables, const std::optional<std::filesystem::path>& given);

/// The first candidate that exists; throws std::runtime_error listing all of them when none does.
/// A file named by `given` is returned as it is: load() says best what is wrong with it.
[[nodiscard]] std::filesystem::path
find_config(const environment& variables,
            const std::optional<std::filesystem::path>& given = std::nullopt);

} // namespace bitnetd::conf
