// SPDX-License-Identifier: MIT
#pragma once

#include "conf/config.h"
#include "conf/schema.h"

#include <string>
#include <vector>

namespace bitnetd::conf {

/// One key that two configurations differ in. Models and sockets are compared by name, as
/// models.chat, and `hardware.nodes` as a whole; an empty text means that it is not there.
struct change {
  std::string path;
  std::string before, after; ///< as in YAML
  scope acts;

  bool operator==(const change&) const = default;
  /// `batch.max_tokens: 512 -> 256 (step)`
  [[nodiscard]] std::string text() const;
};

/// All changes, in the order of the table of keys. What is no key (version, file, directories) is
/// not compared.
[[nodiscard]] std::vector<change> difference(const config& before, const config& after);

/// `next` with every restart key as in `running`: what may be swapped in without a restart.
[[nodiscard]] config without_restart(config next, const config& running);

} // namespace bitnetd::conf
