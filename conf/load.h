// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "conf/checks.h"
#include "conf/config.h"
#include "conf/directories.h"
#include "conf/machine.h"
#include "conf/problem.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::conf {

/// A configuration, or everything that is wrong with it.
struct load_result {
  std::optional<config> value;         ///< there exactly when there is no problem; version 0
  std::vector<problem> problems;       ///< by file, line and column; at most 100 and a last line
  std::map<std::string, place> places; ///< of every key that stands in a file
  hash128 file_hash;                   ///< of bitnetd.yaml as it was read; zeros if it was not
};

/// Reads `file` (bitnetd.yaml) and the profile beside it that it names, profiles/NAME.yaml: the
/// defaults, then bitnetd.yaml, then the profile. A file named by no `profile:` key may be missing.
/// Without `sockets`, front, admin and events listen in the runtime directory.
///
/// `profile` takes the place of the file's `profile:` key. Paths in the result are absolute.
/// Starts and reloads and `bitnetctl validate` all come through here.
[[nodiscard]] load_result load(const std::filesystem::path& file, const directories& where,
                               const machine& on,
                               const std::optional<std::string>& profile = std::nullopt);

/// The sockets of a configuration that names none; endpoints in `runtime`.
[[nodiscard]] std::vector<socket_config>
default_sockets(const std::filesystem::path& runtime_directory);

} // namespace bitnetd::conf
