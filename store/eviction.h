// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::store {

/// What decides whether a cached answer stays.
struct eviction_candidate {
  std::uint64_t entry = 0;
  std::int64_t expires_us = 0;
  std::int64_t last_used_us = 0;
  std::uint32_t hits = 0;
  std::uint32_t cost_ms = 0; ///< computing the answer took this long: what a hit saves
  std::uint64_t bytes = 0;
};

/// Milliseconds an entry can be expected to save per byte it takes: (hits + 1) * cost / bytes,
/// halved for every 24 hours since it was last used, and 0 once it has expired. A new entry counts
/// as used once, so that an expensive answer is not lost before its first repeat.
[[nodiscard]] double keep_value(const eviction_candidate& entry, std::int64_t now_us) noexcept;

/// Index of the one to evict: least keep_value; of equals the one that expires first, then the
/// least entry. `candidates` is not empty.
[[nodiscard]] std::size_t pick_victim(std::span<const eviction_candidate> candidates,
                                      std::int64_t now_us) noexcept;

} // namespace bitnetd::store
