// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitnetd::conf {

/// What a configuration is checked against; passed in, so that tests own it. What is empty or zero
/// is not known and not checked.
struct machine {
  std::vector<int> cpus; ///< numbers of the CPUs that are online, ascending
  std::vector<int>
      memory_nodes; ///< NUMA nodes with memory, ascending; {0} where the kernel shows none
  std::uint64_t memory_bytes = 0;
  /// Values of hardware.isa that the CPU can run, from slowest to fastest; this_machine() does not
  /// know them, the daemon does.
  std::vector<std::string> isas = {};
};

/// This machine, as /sys and sysconf show it; without /sys, CPUs 0…n-1 and one node.
[[nodiscard]] machine this_machine();

/// Numbers of a kernel list such as "0-3,8"; empty when it is malformed or has over 65536 numbers.
[[nodiscard]] std::vector<int> read_number_list(const char* text);

} // namespace bitnetd::conf
