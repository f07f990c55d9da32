// SPDX-License-Identifier: MIT
#include "actors/admission.h"

#include <algorithm>
#include <cstring>

namespace bitnetd::actors {

admission::admission() : counts_(n_rows * width, 0) { costs_.reserve(n_costs); }

std::array<std::size_t, admission::n_rows> admission::places(const hash128& partition,
                                                             const hash128& key) {
  // Both are hashes already: four groups of their bits are four independent places.
  std::array<std::size_t, n_rows> out{};
  for (std::size_t row = 0; row < n_rows; ++row) {
    std::uint32_t a = 0, b = 0;
    std::memcpy(&a, partition.bytes.data() + 4 * row, sizeof a);
    std::memcpy(&b, key.bytes.data() + 4 * row, sizeof b);
    out[row] = row * width + (a ^ b) % width;
  }
  return out;
}

void admission::asked(const hash128& partition, const hash128& key) {
  for (const auto place : places(partition, key))
    if (counts_[place] < UINT8_MAX)
      ++counts_[place];
  if (++since_halved_ < halve_after)
    return;
  since_halved_ = 0;
  for (auto& count : counts_)
    count = static_cast<std::uint8_t>(count / 2);
}

void admission::computes(double predicted_ms) {
  if (costs_.size() < n_costs)
    costs_.push_back(predicted_ms);
  else
    costs_[next_cost_++ % n_costs] = predicted_ms;
}

unsigned admission::times(const hash128& partition, const hash128& key) const {
  unsigned least = UINT8_MAX;
  for (const auto place : places(partition, key))
    least = std::min<unsigned>(least, counts_[place]);
  return least;
}

bool admission::admits(const hash128& partition, const hash128& key, double predicted_ms) const {
  if (times(partition, key) >= 2)
    return true;
  if (costs_.size() < n_costs)
    return false;
  auto sorted = costs_;
  const auto quarter = sorted.begin() + static_cast<std::ptrdiff_t>(3 * n_costs / 4);
  std::nth_element(sorted.begin(), quarter, sorted.end());
  return predicted_ms > *quarter;
}

} // namespace bitnetd::actors
