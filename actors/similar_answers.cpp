// SPDX-License-Identifier: MIT
#include "actors/similar_answers.h"

#include "actors/partition.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bitnetd::actors {

similar_answer similar_answers::judge(const job& what, const hash128& embedder, std::uint64_t entry,
                                      double cosine, const word_difference& words,
                                      const conf::cache_policy& policy) {
  similar_answer out;
  out.entry = entry;
  out.similarity = cosine;
  out.x = hit_features_of(cosine, words.replaced, words.added);
  out.principal = what.what->principal;
  out.embedder = embedder;
  auto& here = rules_[{out.principal, embedder}];
  out.scored = here.rule.decide(entry, out.x).confidence;
  out.confidence = prior_confidence(cosine, policy.threshold);
  const auto floor = std::max(policy.min_confidence, what.what->cache.min_confidence.value_or(0.0));
  out.would_serve = cosine >= policy.threshold && out.confidence >= floor;
  ++here.decided;
  here.would_serve += out.would_serve;
  return out;
}

void similar_answers::learn(const similar_answer& what, bool right) {
  auto& here = rules_[{what.principal, what.embedder}];
  here.rule.learn(what.entry, what.x, what.scored, right);
  if (what.would_serve)
    ++(right ? here.audited_right : here.audited_wrong);
}

void similar_answers::served(const similar_answer& what) {
  ++rules_[{what.principal, what.embedder}].served;
}

void similar_answers::forget(std::uint64_t entry) {
  for (auto& [who, here] : rules_)
    here.rule.forget(entry);
}

std::string similar_answers::stats() const {
  auto out = nlohmann::json::array();
  for (const auto& [who, here] : rules_) {
    const auto& calibrator = here.rule.calibrator();
    nlohmann::json one{{"principal", who.first},
                       {"embedder", who.second.hex()},
                       {"neighbours", here.decided},
                       {"over_threshold", here.would_serve},
                       {"served", here.served},
                       {"compared", here.rule.labels()},
                       {"over_threshold_right", here.audited_right},
                       {"over_threshold_wrong", here.audited_wrong},
                       {"rule_open", calibrator.open()}};
    if (calibrator.open()) {
      one["rule_least_confidence"] = calibrator.least_score();
      one["rule_wrong_measured"] = calibrator.measured();
      one["rule_wrong_bound"] = calibrator.bound();
      one["rule_share_served"] = calibrator.share_served();
    }
    out.push_back(std::move(one));
  }
  return out.dump();
}

} // namespace bitnetd::actors
