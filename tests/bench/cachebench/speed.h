// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <ostream>

namespace bitnetd::bench {

/// Prints what a semantic lookup costs (search, guards, decision; without the embedding) in CPU
/// time of its thread at so many entries, and what an entry takes of memory.
void report_lookup(std::size_t entries, std::ostream& out);

/// Prints how long a store of so many entries takes from opening to the first exact hit and to the
/// whole index in memory, and the CPU time of an exact lookup.
void report_restart(std::size_t entries, std::ostream& out);

} // namespace bitnetd::bench
