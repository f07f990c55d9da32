// SPDX-License-Identifier: MIT
#include "store/eviction.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace bitnetd::store {
namespace {

constexpr double half_life_us = 24.0 * 3600 * 1e6;

} // namespace

double keep_value(const eviction_candidate& entry, std::int64_t now_us) noexcept {
  if (entry.expires_us <= now_us)
    return 0;
  // A clock that was set back must not make an entry worth more than just used.
  const auto idle_us = static_cast<double>(std::max<std::int64_t>(now_us - entry.last_used_us, 0));
  const auto uses = (static_cast<double>(entry.hits) + 1) * std::exp2(-idle_us / half_life_us);
  return uses * entry.cost_ms / static_cast<double>(std::max<std::uint64_t>(entry.bytes, 1));
}

std::size_t pick_victim(std::span<const eviction_candidate> candidates,
                        std::int64_t now_us) noexcept {
  const auto rank = [&](const eviction_candidate& entry) {
    return std::tuple(keep_value(entry, now_us), entry.expires_us, entry.entry);
  };
  const auto least =
      std::min_element(candidates.begin(), candidates.end(),
                       [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return static_cast<std::size_t>(least - candidates.begin());
}

} // namespace bitnetd::store
