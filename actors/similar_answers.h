// SPDX-License-Identifier: MIT
#pragma once

#include "actors/hit_rule.h"
#include "actors/messages.h"
#include "actors/wording.h"
#include "base/hash.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace bitnetd::actors {

/// The neighbour of a request that passed the guards, and what is thought of it.
struct similar_answer {
  std::uint64_t entry = 0;
  double similarity = 0;
  double confidence = 0; ///< of the threshold rule that decides
  double scored = 0;     ///< of the learned rule, which only watches
  hit_features x{};
  std::string principal; ///< with the embedder: whose rule it is
  hash128 embedder;
  bool would_serve = false;
};

/// Decides by the operator's threshold which neighbours are served, and measures beside it what a
/// learned rule would serve and how much of either is wrong. Tenants share nothing: what one asks
/// moves nobody else's figures.
class similar_answers {
public:
  [[nodiscard]] similar_answer judge(const job& what, const hash128& embedder, std::uint64_t entry,
                                     double cosine, const word_difference& words,
                                     const conf::cache_policy& policy);
  /// An answer was computed beside it and compared.
  void learn(const similar_answer& what, bool right);
  void served(const similar_answer& what);
  void forget(std::uint64_t entry);

  /// One object per tenant and embedder, as JSON text.
  [[nodiscard]] std::string stats() const;

private:
  using owner = std::pair<std::string, hash128>;
  struct measured {
    hit_rule rule;
    std::uint64_t decided = 0, would_serve = 0, served = 0, audited_right = 0, audited_wrong = 0;
  };
  std::map<owner, measured> rules_;
};

} // namespace bitnetd::actors
