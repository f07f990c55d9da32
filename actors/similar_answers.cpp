// SPDX-License-Identifier: MIT
#include "actors/similar_answers.h"

#include "actors/partition.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::size_t max_served = 4096;

/// A number from 0 to 1 that depends on the job alone, so that a repeated run audits the same jobs.
double chance_of(const job_id& id) noexcept {
  std::uint64_t x = 0;
  for (std::size_t i = 8; i < id.bytes.size(); ++i)
    x = x << 8 | id.bytes[i];
  // The finalizer of SplitMix64.
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

} // namespace

similar_answer similar_answers::judge(const job& what, const hash128& embedder, std::uint64_t entry,
                                      double cosine, const word_difference& words,
                                      const conf::cache_policy& policy) {
  similar_answer out;
  out.entry = entry;
  out.similarity = cosine;
  out.x = hit_features_of(cosine, words.replaced, words.added, words.moved);
  out.principal = what.what->principal;
  out.embedder = embedder;
  auto& here = rules_[{out.principal, embedder}];
  here.rule.set_most_wrong(policy.max_wrong);
  const auto decision = here.rule.decide(entry, out.x);
  out.scored = decision.confidence;
  const auto floor = std::max(policy.min_confidence, what.what->cache.min_confidence.value_or(0.0));
  if (policy.trust == conf::cache_trust::threshold) {
    out.confidence = prior_confidence(cosine, policy.threshold);
    out.would_serve = cosine >= policy.threshold && out.confidence >= floor;
  } else {
    out.confidence = decision.confidence;
    out.would_serve = decision.serves && out.confidence >= floor;
    out.audited = out.would_serve && chance_of(what.id) < here.rule.audit_share(entry);
  }
  ++here.counts.decided;
  here.counts.would_serve += out.would_serve;
  here.changed = true;
  return out;
}

std::optional<double> similar_answers::bound_of(const similar_answer& what,
                                                const conf::cache_policy& policy) const {
  if (policy.trust == conf::cache_trust::threshold)
    return std::nullopt;
  const auto here = rules_.find({what.principal, what.embedder});
  return here == rules_.end() ? std::nullopt
                              : std::optional{here->second.rule.calibrator().bound()};
}

void similar_answers::learn(const similar_answer& what, bool right) {
  auto& here = rules_[{what.principal, what.embedder}];
  here.rule.learn(what.entry, what.x, what.scored, right);
  here.changed_entries.insert(what.entry);
  ++here.counts.compared;
  if (what.would_serve)
    ++(right ? here.counts.audited_right : here.counts.audited_wrong);
}

void similar_answers::served(const similar_answer& what) {
  ++rules_[{what.principal, what.embedder}].counts.served;
  served_.push_back(what);
  if (served_.size() > max_served)
    served_.pop_front();
}

std::optional<similar_answer> similar_answers::reported(const std::string& principal,
                                                        std::uint64_t entry, bool right) {
  const auto found = std::ranges::find_if(served_, [&](const similar_answer& one) {
    return one.entry == entry && one.principal == principal;
  });
  if (found == served_.end())
    return std::nullopt;
  const auto out = *found;
  auto& here = rules_[{principal, out.embedder}];
  here.rule.reported(entry, out.x, right);
  here.counts.reported_wrong += !right;
  here.changed = true;
  here.changed_entries.insert(entry);
  served_.erase(found);
  return out;
}

void similar_answers::forget(std::uint64_t entry) {
  for (auto& [who, here] : rules_) {
    here.rule.forget(entry);
    here.changed_entries.erase(entry);
  }
}

std::vector<store::learned_row> similar_answers::changes() {
  std::vector<store::learned_row> out;
  for (auto& [who, here] : rules_) {
    if (std::exchange(here.changed, false))
      out.push_back(
          to_row(learned_rule{who.first, who.second, here.counts, here.rule.calibrator()}));
    for (const auto entry : std::exchange(here.changed_entries, {}))
      out.push_back(to_row(learned_entry{entry, who.first, who.second, here.rule.seen_of(entry)}));
  }
  return out;
}

std::size_t similar_answers::restore(const store::answers_db& answers) {
  std::size_t taken = 0;
  const auto read = answers.for_each_learned([&](const store::learned_row& row) {
    if (auto entry = row.entry == 0 ? std::nullopt : entry_of(row)) {
      rules_[{entry->principal, entry->embedder}].rule.restore(entry->entry,
                                                               std::move(entry->seen));
      ++taken;
    } else if (const auto rule = row.entry == 0 ? rule_of(row) : std::nullopt) {
      auto& here = rules_[{rule->principal, rule->embedder}];
      here.rule.restore(rule->calibrator);
      here.counts = rule->counts;
      ++taken;
    }
    return true;
  });
  if (!read)
    log::warn("cache: what was learned of similar answers cannot be read ({}): it is measured anew",
              read.text());
  for (auto& [who, here] : rules_)
    here.rule.relearn();
  return taken;
}

std::string similar_answers::stats() const {
  auto out = nlohmann::json::array();
  for (const auto& [who, here] : rules_) {
    const auto& calibrator = here.rule.calibrator();
    nlohmann::json one{{"principal", who.first},
                       {"embedder", who.second.hex()},
                       {"decisions", here.counts.decided},
                       {"would_serve", here.counts.would_serve},
                       {"served", here.counts.served},
                       {"audits", here.counts.compared},
                       {"audited_right", here.counts.audited_right},
                       {"audited_wrong", here.counts.audited_wrong},
                       {"reported_wrong", here.counts.reported_wrong},
                       {"open", calibrator.open()}};
    if (calibrator.open()) {
      one["least_confidence"] = calibrator.least_score();
      one["wrong_measured"] = calibrator.measured();
      one["wrong_bound"] = calibrator.bound();
      one["share_served"] = calibrator.share_served();
    }
    out.push_back(std::move(one));
  }
  return out.dump();
}

} // namespace bitnetd::actors
