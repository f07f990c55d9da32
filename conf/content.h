// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace bitnetd::conf {

/// A directory whose events can change what a configuration says, and the names in it that matter.
struct watched_directory {
  std::filesystem::path directory;
  std::set<std::string> names;
  std::set<std::string> endings; ///< every name with one of these matters

  [[nodiscard]] bool matters(std::string_view name) const;
};

/// Hash over bitnetd.yaml and every profiles/*.yaml and clients.d/*.pub beside it: names, bytes,
/// and for a file that cannot be read the reason. Modification times are not looked at: editors and
/// mounts lie.
[[nodiscard]] hash128 content_hash(const std::filesystem::path& file);

/// The directories to watch: those of bitnetd.yaml, the profiles and the clients' keys, and of
/// every symbolic link on the way to them (a mounted ConfigMap changes only its ..data link). Where
/// something is missing, the directory in which it would appear.
[[nodiscard]] std::vector<watched_directory> directories_of(const std::filesystem::path& file);

} // namespace bitnetd::conf
