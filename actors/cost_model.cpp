// SPDX-License-Identifier: MIT
#include "actors/cost_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitnetd::actors {

namespace {

constexpr double forgetting = 0.995;
constexpr double initial_covariance = 1e3; // knows nothing: the first measurements decide

} // namespace

cost_model::cost_model() {
  for (std::size_t i = 0; i < n_features; ++i)
    covariance_[i][i] = initial_covariance;
}

cost_model::cost_model(const cost_curve& measured) : cost_model() {
  // Several passes: the projection to θ ≥ 0 makes a single one depend on the order of the points.
  for (int pass = 0; pass < 4; ++pass)
    for (const auto& point : measured.points)
      learn(point);
}

void cost_model::learn(const cost_point& step) {
  const vector phi{1.0, static_cast<double>(step.n_decode), static_cast<double>(step.n_prefill),
                   static_cast<double>(step.context_sum) / 1000.0};
  vector p_phi{};
  for (std::size_t i = 0; i < n_features; ++i)
    p_phi[i] = std::inner_product(phi.begin(), phi.end(), covariance_[i].begin(), 0.0);
  const double denominator =
      forgetting + std::inner_product(phi.begin(), phi.end(), p_phi.begin(), 0.0);
  const double predicted = std::inner_product(phi.begin(), phi.end(), theta_.begin(), 0.0);
  double error = step.milliseconds - predicted;
  if (n_ > 32) {
    const double bound = 3 * std::sqrt(variance_);
    error = std::clamp(error, -bound, bound);
    relative_error_ +=
        0.02 * (std::abs(step.milliseconds - predicted) / std::max(step.milliseconds, 1e-6) -
                relative_error_);
  }
  for (std::size_t i = 0; i < n_features; ++i)
    theta_[i] = std::max(0.0, theta_[i] + p_phi[i] / denominator * error);
  for (std::size_t i = 0; i < n_features; ++i)
    for (std::size_t j = 0; j < n_features; ++j)
      covariance_[i][j] = std::min(
          (covariance_[i][j] - p_phi[i] * p_phi[j] / denominator) / forgetting, initial_covariance);
  variance_ = 0.98 * variance_ + 0.02 * error * error;
  ++n_;
}

double cost_model::predict_ms(double n_decode, double n_prefill,
                              double context_sum) const noexcept {
  return theta_[0] + theta_[1] * n_decode + theta_[2] * n_prefill + theta_[3] * context_sum / 1000;
}

double cost_model::predict_job_ms(std::uint32_t prompt_tokens, std::uint32_t new_tokens,
                                  std::uint32_t chunk) const noexcept {
  const double prompt = prompt_tokens, made = new_tokens;
  const double steps = std::ceil(prompt / std::max<double>(chunk, 1));
  const double prefill =
      steps * theta_[0] + theta_[2] * prompt + theta_[3] * prompt * (prompt + 1) / 2 / 1000;
  const double read = made * prompt + made * (made + 1) / 2;
  return prefill + made * (theta_[0] + theta_[1]) + theta_[3] * read / 1000;
}

std::uint32_t cost_model::prefill_within(double target_ms, double n_decode,
                                         double context_sum) const noexcept {
  const double left = target_ms - predict_ms(n_decode, 0, context_sum);
  if (left <= 0)
    return 0;
  if (theta_[2] <= 0)
    return UINT32_MAX;
  return static_cast<std::uint32_t>(std::min(left / theta_[2], 1e9));
}

} // namespace bitnetd::actors
