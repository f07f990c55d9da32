// SPDX-License-Identifier: MIT
#include "actors/hit_rule.h"

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::size_t recompute_every = 50;
constexpr std::size_t largest_sample = 2000; // entries that the prior is learned from
constexpr std::size_t relearn_at_most_every = 4096;
constexpr double prior_weight = 20; // entries that the default prior counts as
constexpr double usual_audits = 0.05, few_audits = 0.02, many_audits = 0.2;
constexpr double audits_on_probation = 0.1;
constexpr double enough_audits = 2000;
constexpr double alarm_at = 3; // wrong audits more than the promise allows, added up

} // namespace

hit_rule::hit_rule(double most_wrong, judge_noise noise) : most_wrong_(most_wrong), noise_(noise) {}

hit_decision hit_rule::decide(std::uint64_t entry, const hit_features& x) {
  const auto out = look(entry, x);
  calibrator_.decided(out.confidence);
  return out;
}

hit_decision hit_rule::look(std::uint64_t entry, const hit_features& x) const {
  const auto known = entries_.find(entry);
  hit_decision out;
  out.confidence = score(known == entries_.end() ? prior_ : known->second.belief, x);
  out.serves = calibrator_.serves(out.confidence);
  out.bound = calibrator_.bound();
  return out;
}

void hit_rule::observe(std::uint64_t entry, const hit_features& x, bool right) {
  auto& known = entries_[entry];
  if (known.seen.size() == max_observations)
    known.seen.erase(known.seen.begin());
  known.seen.push_back({x, right});
  known.belief = fit(prior_, known.seen);
}

void hit_rule::learn(std::uint64_t entry, const hit_features& x, double confidence, bool right) {
  const bool would = calibrator_.serves(confidence);
  calibrator_.audited(confidence, !right);
  observe(entry, x, right);
  if (would)
    alarm_ = std::max(0.0, alarm_ + (right ? -2 * most_wrong_ : 1.0));
  ++labels_;
  if (labels_ >= next_relearn_)
    relearn();
  if (++since_recompute_ >= recompute_every || alarm_ >= alarm_at) {
    since_recompute_ = 0;
    calibrator_.recompute(most_wrong_, noise_);
  }
}

void hit_rule::reported(std::uint64_t entry, const hit_features& x, bool right) {
  observe(entry, x, right);
}

void hit_rule::forget(std::uint64_t entry) { entries_.erase(entry); }

double hit_rule::audit_share(std::uint64_t entry) const {
  if (alarm_ >= alarm_at / 2)
    return many_audits;
  if (!confirmed(entry))
    return audits_on_probation;
  return calibrator_.effective_audits() >= enough_audits ? few_audits : usual_audits;
}

bool hit_rule::confirmed(std::uint64_t entry) const {
  const auto known = entries_.find(entry);
  return known != entries_.end() &&
         std::ranges::any_of(known->second.seen, &hit_observation::right);
}

std::vector<hit_observation> hit_rule::seen_of(std::uint64_t entry) const {
  const auto known = entries_.find(entry);
  return known == entries_.end() ? std::vector<hit_observation>{} : known->second.seen;
}

void hit_rule::set_most_wrong(double most_wrong) {
  if (std::exchange(most_wrong_, most_wrong) != most_wrong)
    calibrator_.recompute(most_wrong_, noise_);
}

void hit_rule::restore(std::uint64_t entry, std::vector<hit_observation> seen) {
  labels_ += seen.size();
  entries_[entry].seen = std::move(seen);
}

void hit_rule::restore(const hit_calibrator& calibrator) {
  calibrator_ = calibrator;
  calibrator_.recompute(most_wrong_, noise_);
}

void hit_rule::relearn() {
  std::vector<std::vector<hit_observation>> sample;
  for (const auto& [entry, known] : entries_) {
    if (sample.size() == largest_sample)
      break;
    sample.push_back(known.seen);
  }
  prior_ = shared_prior(default_hit_prior(), prior_weight, sample);
  for (auto& [entry, known] : entries_)
    known.belief = fit(prior_, known.seen);
  next_relearn_ = labels_ + std::min(std::max<std::size_t>(labels_, 64), relearn_at_most_every);
}

} // namespace bitnetd::actors
