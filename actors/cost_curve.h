// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

namespace bitnetd::actors {

/// One measured step: its shape and what it took.
struct cost_point {
  std::uint32_t n_decode = 0, n_prefill = 0;
  std::uint64_t context_sum = 0; ///< positions that attention read
  double milliseconds = 0;
};

/// What steps of one model cost on this machine: measured before READY when no stored curve is
/// there, kept in the cache directory under (model_hash, isa, threads, KV type).
struct cost_curve {
  std::vector<cost_point> points;
};

} // namespace bitnetd::actors
