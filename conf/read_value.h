// SPDX-License-Identifier: MIT
#pragma once

#include "conf/document.h"
#include "conf/schema.h"

#include <filesystem>
#include <optional>
#include <string>

namespace bitnetd::conf {

/// What relative paths are relative to.
struct path_bases {
  std::filesystem::path of_files;   ///< the directory of bitnetd.yaml
  std::filesystem::path of_sockets; ///< the runtime directory
};

/// The value of `k` that the node holds, checked against type, bounds and choices, with paths made
/// absolute. Otherwise nothing, and `why` says what was expected and what was found.
[[nodiscard]] std::optional<value> read_value(const key& k, const node& from,
                                              const path_bases& bases, std::string& why);

/// The node for a message: 65, "many", nothing, a list, a mapping.
[[nodiscard]] std::string found_text(const node& n);

} // namespace bitnetd::conf
