// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_curve.h"

#include <array>
#include <cstdint>

namespace bitnetd::actors {

/// Predicts what a step takes, from measured steps, and goes on learning from live ones.
///
///   T = θ · φ,   φ = [1, decode rows, prefill rows, positions read by attention / 1000],   θ ≥ 0
///
/// θ minimises the squared relative errors of all steps so far, each forgotten by 0.5 % with every
/// later one. An error counts at most three standard deviations, so that one disturbed step does
/// not move the model. The sums of the normal equations are kept; the small problem with θ ≥ 0 is
/// solved by cyclic coordinate descent from the last solution.
/// Source: Franc et al. 2005, Sequential coordinate-wise algorithm for the NNLS problem.
class cost_model {
public:
  cost_model() = default;
  explicit cost_model(const cost_curve& measured);

  void learn(const cost_point& step);
  [[nodiscard]] double predict_ms(double n_decode, double n_prefill,
                                  double context_sum) const noexcept;
  /// A whole job alone on an idle worker: prefill in chunks, then decode.
  [[nodiscard]] double predict_job_ms(std::uint32_t prompt_tokens, std::uint32_t new_tokens,
                                      std::uint32_t chunk) const noexcept;
  /// Most prefill rows that keep a step with these decodes within `target_ms`; 0: none fits.
  [[nodiscard]] std::uint32_t prefill_within(double target_ms, double n_decode,
                                             double context_sum) const noexcept;
  /// What it knows as points to learn from: another model that learns them predicts the same.
  [[nodiscard]] cost_curve as_curve() const;
  /// Whether anything was measured yet.
  [[nodiscard]] bool trained() const noexcept { return n_ > 0; }
  /// Mean absolute error of recent predictions, relative.
  [[nodiscard]] double relative_error() const noexcept { return relative_error_; }

private:
  static constexpr std::size_t n_features = 4;
  using vector = std::array<double, n_features>;

  void solve() noexcept;

  vector theta_{};
  std::array<vector, n_features> products_{}; ///< sums of w φ φᵀ
  vector targets_{};                          ///< sums of w φ T
  double variance_ = 0, relative_error_ = 0;
  std::uint64_t n_ = 0;
};

} // namespace bitnetd::actors
