// SPDX-License-Identifier: MIT
#pragma once

#include "actors/cost_curve.h"

#include <array>
#include <cstdint>

namespace bitnetd::actors {

/// Predicts what a step takes, from measured steps, and goes on learning from live ones.
///
///   T = θ · φ,   φ = [1, decode rows, prefill rows, positions read by attention / 1000]
///
/// Recursive least squares with forgetting 0.995; an error counts at most three standard
/// deviations, so that one disturbed step does not move the model; θ stays ≥ 0.
/// Source: Haykin, Adaptive Filter Theory, chapter on RLS.
class cost_model {
public:
  cost_model();
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
  /// Whether anything was measured yet.
  [[nodiscard]] bool trained() const noexcept { return n_ > 0; }
  /// Mean absolute error of recent predictions, relative.
  [[nodiscard]] double relative_error() const noexcept { return relative_error_; }

private:
  static constexpr std::size_t n_features = 4;
  using vector = std::array<double, n_features>;

  vector theta_{};
  std::array<vector, n_features> covariance_{};
  double variance_ = 0, relative_error_ = 0;
  std::uint64_t n_ = 0;
};

} // namespace bitnetd::actors
