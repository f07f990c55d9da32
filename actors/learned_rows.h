// SPDX-License-Identifier: MIT
#pragma once

#include "actors/hit_calibrator.h"
#include "actors/hit_score.h"
#include "base/hash.h"
#include "store/cache_entry.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::actors {

// What was learned of similar answers, as rows of the cache's store (docs/store.md), and back.

/// What a rule has counted since it began.
struct rule_counts {
  std::uint64_t decided = 0, would_serve = 0, served = 0, compared = 0, audited_right = 0,
                audited_wrong = 0, reported_wrong = 0;

  bool operator==(const rule_counts&) const = default;
};

struct learned_rule {
  std::string principal;
  hash128 embedder;
  rule_counts counts;
  hit_calibrator calibrator;
};

struct learned_entry {
  std::uint64_t entry = 0;
  std::string principal;
  hash128 embedder;
  std::vector<hit_observation> seen; ///< oldest first
};

[[nodiscard]] store::learned_row to_row(const learned_rule& what);
[[nodiscard]] store::learned_row to_row(const learned_entry& what);
/// Nothing for bytes that are not such a row, or of another version.
[[nodiscard]] std::optional<learned_rule> rule_of(const store::learned_row& row);
[[nodiscard]] std::optional<learned_entry> entry_of(const store::learned_row& row);

} // namespace bitnetd::actors
