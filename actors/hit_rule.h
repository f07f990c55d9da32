// SPDX-License-Identifier: MIT
#pragma once

#include "actors/hit_calibrator.h"
#include "actors/hit_score.h"

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace bitnetd::actors {

/// What a hit was decided on.
struct hit_decision {
  double confidence = 0; ///< probability that the answer is right, from score
  bool serves = false;   ///< the calibrator lets this confidence through
  double bound = 1;      ///< its upper bound on the share of wrong hits
};

/// The confidence rule of one tenant and embedder: the shared prior, what is known of each entry,
/// and the calibrator over both. Who serves a hit asks `decide`; who computed an answer beside an
/// entry tells `learn`.
class hit_rule {
public:
  explicit hit_rule(double most_wrong = 0.02, judge_noise noise = {});

  /// Counts as a decision; `look` only looks.
  [[nodiscard]] hit_decision decide(std::uint64_t entry, const hit_features& x);
  [[nodiscard]] hit_decision look(std::uint64_t entry, const hit_features& x) const;

  /// An answer was computed beside the entry and compared. `confidence` is what decide had said.
  void learn(std::uint64_t entry, const hit_features& x, double confidence, bool right);
  /// Feedback: the same as an audit that found it wrong, without a say in the bound (people report
  /// what annoys them, not a fair sample).
  void reported(std::uint64_t entry, const hit_features& x, bool right);
  void forget(std::uint64_t entry);

  /// Probability with which a would-be hit is computed all the same, to know how good the rule is:
  /// 5 %, down to 2 % once much is known, up again when audits turn bad. An entry that was never
  /// found right is on probation: one in ten at least.
  [[nodiscard]] double audit_share(std::uint64_t entry) const;

  /// What was observed of an entry, oldest first.
  [[nodiscard]] std::vector<hit_observation> seen_of(std::uint64_t entry) const;

  void set_most_wrong(double most_wrong);
  [[nodiscard]] const hit_calibrator& calibrator() const noexcept { return calibrator_; }
  [[nodiscard]] const hit_belief& prior() const noexcept { return prior_; }
  [[nodiscard]] std::size_t labels() const noexcept { return labels_; }
  [[nodiscard]] std::size_t entries() const noexcept { return entries_.size(); }

  /// Taken from the store at the start: what was observed of an entry, oldest first.
  void restore(std::uint64_t entry, std::vector<hit_observation> seen);
  void restore(const hit_calibrator& calibrator);
  /// Learns the prior from what was restored.
  void relearn();

  static constexpr std::size_t max_observations = 64; ///< per entry

private:
  struct entry_state {
    std::vector<hit_observation> seen;
    hit_belief belief;
  };
  [[nodiscard]] bool confirmed(std::uint64_t entry) const;
  void observe(std::uint64_t entry, const hit_features& x, bool right);

  double most_wrong_;
  judge_noise noise_;
  hit_belief prior_ = default_hit_prior();
  hit_calibrator calibrator_;
  std::unordered_map<std::uint64_t, entry_state> entries_;
  std::size_t labels_ = 0, next_relearn_ = 64, since_recompute_ = 0;
  double alarm_ = 0; ///< CUSUM of wrong audits of would-be hits
};

} // namespace bitnetd::actors
