// SPDX-License-Identifier: MIT
#pragma once

#include "tests/bench/cachebench/simulate.h"

#include <string>

namespace bitnetd::bench {

struct made_embedder {
  std::string name;
  bool knows_meaning = false;
  embedder embed;
};

/// The embedding model in this file, or hashed n-grams when it is empty. Throws what loading
/// throws.
[[nodiscard]] made_embedder make_embedder(const std::string& model);

} // namespace bitnetd::bench
