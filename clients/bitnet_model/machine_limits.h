// SPDX-License-Identifier: MIT
#pragma once

#include "engine/node.h"

#include <string_view>

namespace bitnetd::model_tool {

/// What this machine can do at best, on the threads of a node, right now.
struct machine_limits {
  double read_gb_per_s = 0;     ///< reading 512 MiB front to back, each thread its own pieces
  double integer_top_per_s = 0; ///< 8-bit products and additions of the named instruction set
};

/// Measures both, about a quarter of a second each: the median of five passes. Products come from
/// registers only: vpdpbusd in 512 or 256 bits, vpmaddubsw with vpmaddwd and vpaddd for avx2, and
/// zero (not measured) for scalar.
[[nodiscard]] machine_limits measure_limits(engine::compute_node& node, std::string_view isa);

} // namespace bitnetd::model_tool
