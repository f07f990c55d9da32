// SPDX-License-Identifier: MIT
#pragma once

#include "actors/guards.h"
#include "actors/hit_rule.h"
#include "actors/learned_rows.h"
#include "actors/messages.h"
#include "base/hash.h"
#include "store/answers_db.h"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace bitnetd::actors {

/// The neighbour of a request that passed the guards, and what the rule says of it.
struct similar_answer {
  std::uint64_t entry = 0;
  double similarity = 0, confidence = 0;
  double scored = 0; ///< the rule's confidence, also where the cosine alone decides
  hit_features x{};
  std::string principal; ///< with the embedder: whose rule decided
  hash128 embedder;
  bool would_serve = false;
  bool audited = false; ///< it would serve, and is computed all the same to be compared
};

/// The confidence rules of all tenants and embedders, and what is remembered of hits so that they
/// can be reported. Tenants share nothing: what one asks moves nobody else's rule.
class similar_answers {
public:
  /// What the rule of this tenant and embedder says of a neighbour that passed the guards.
  /// `threshold` mode decides by the cosine alone.
  [[nodiscard]] similar_answer judge(const job& what, const hash128& embedder, std::uint64_t entry,
                                     double cosine, const word_difference& words,
                                     const conf::cache_policy& policy);
  /// The bound on wrong hits behind a decision; nothing where none is promised.
  [[nodiscard]] std::optional<double> bound_of(const similar_answer& what,
                                               const conf::cache_policy& policy) const;

  /// An answer was computed beside it and compared.
  void learn(const similar_answer& what, bool right);
  /// It was served: it may be reported for a while.
  void served(const similar_answer& what);
  /// Somebody reports a hit he was given. Nothing when there is none of his with this entry.
  [[nodiscard]] std::optional<similar_answer> reported(const std::string& principal,
                                                       std::uint64_t entry, bool right);
  void forget(std::uint64_t entry);

  /// What has changed since this was asked last, for the store.
  [[nodiscard]] std::vector<store::learned_row> changes();
  /// Takes up what was learned before a restart. Rows that cannot be read are left out: it is
  /// measured anew. Returns how many rows were taken.
  std::size_t restore(const store::answers_db& answers);

  /// One object per rule, as JSON text.
  [[nodiscard]] std::string stats() const;

private:
  using owner = std::pair<std::string, hash128>;
  struct judged {
    hit_rule rule;
    rule_counts counts;
    bool changed = false;
    std::unordered_set<std::uint64_t> changed_entries;
  };
  std::map<owner, judged> rules_;
  std::deque<similar_answer> served_; ///< newest last
};

} // namespace bitnetd::actors
