// SPDX-License-Identifier: MIT
#pragma once

#include "tests/bench/cachebench/family_file.h"

#include <cstdint>
#include <ostream>

namespace bitnetd::bench {

/// Pairs of requests, right ones and near misses by kind: how many each guard holds back, and a few
/// examples of what it should not have (with `examples`).
void report_guards(const family_file& from, std::uint64_t seed, std::size_t examples,
                   std::ostream& out);

} // namespace bitnetd::bench
