// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::actors {

// How likely the answer of a similar request is right for this one: a logistic score with a
// Gaussian prior that all entries share, and each entry's own observations on top of it
// (hierarchical logistic regression, Laplace approximation). Plain numbers, no actor.

inline constexpr std::size_t n_hit_features = 5;

/// 1, cosine - 0.85, content words that were replaced, content words that one of them has more,
/// content words that both have but in another order.
using hit_features = std::array<double, n_hit_features>;
using hit_matrix = std::array<std::array<double, n_hit_features>, n_hit_features>;

[[nodiscard]] hit_features hit_features_of(double cosine, std::size_t replaced, std::size_t added,
                                           std::size_t moved) noexcept;

/// What was seen once: a request beside an entry, and whether the entry's answer would have been
/// right.
struct hit_observation {
  hit_features x{};
  bool right = false;
};

/// Coefficients as they are known: mean and covariance.
struct hit_belief {
  hit_features mean{};
  hit_matrix covariance{};
};

/// Before anything was learned: half right at a cosine of 0.95 with all content words equal, much
/// less with a word replaced or moved. Developed on tests/bench/families/development.families, but
/// for the weight of moved words: a guess that audits correct.
[[nodiscard]] hit_belief default_hit_prior() noexcept;

/// The prior and these observations: maximum a posteriori by Newton steps, with the curvature there
/// as covariance.
[[nodiscard]] hit_belief fit(const hit_belief& prior,
                             std::span<const hit_observation> seen) noexcept;

/// Posterior predictive probability that the answer is right (MacKay's probit approximation).
[[nodiscard]] double score(const hit_belief& belief, const hit_features& x) noexcept;

/// The prior that explains these entries best, a few steps of EM from `start`, which counts as
/// `weight` entries.
[[nodiscard]] hit_belief shared_prior(const hit_belief& start, double weight,
                                      std::span<const std::vector<hit_observation>> entries);

} // namespace bitnetd::actors
