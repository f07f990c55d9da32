// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>

namespace bitnetd::fuzz {

/// What every input must leave true.
inline void must(bool good) {
  if (!good)
    std::abort();
}

} // namespace bitnetd::fuzz
