// SPDX-License-Identifier: MIT
#pragma once

#include "conf/config.h"
#include "conf/document.h"
#include "conf/machine.h"
#include "conf/problem.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace bitnetd::conf {

/// Where a key's value stands.
struct place {
  std::string file;
  mark at;
};

/// What the checks look at.
struct checked {
  const config& values;
  const machine& on;
  std::string file;                           ///< bitnetd.yaml: what stands nowhere is missing here
  const std::map<std::string, place>& places; ///< of the keys that stand in a file
  const std::set<std::string>& failed;        ///< keys that a problem names already
};

/// Combinations that cannot work, each at one of its keys; a check with a key that could not be
/// read is left out, since it would complain about a value that nobody wrote.
void check_combinations(const checked& what, std::vector<problem>& problems);

} // namespace bitnetd::conf
