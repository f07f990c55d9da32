// SPDX-License-Identifier: MIT
#include "actors/cost_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitnetd::actors {

namespace {

constexpr double forgetting = 0.995;
constexpr int sweeps = 40; // from the last solution; four unknowns settle in fewer

} // namespace

cost_model::cost_model(const cost_curve& measured) {
  for (const auto& point : measured.points)
    learn(point);
}

void cost_model::learn(const cost_point& step) {
  if (!(step.milliseconds > 0))
    return;
  const vector phi{1.0, static_cast<double>(step.n_decode), static_cast<double>(step.n_prefill),
                   static_cast<double>(step.context_sum) / 1000.0};
  const double predicted = std::inner_product(phi.begin(), phi.end(), theta_.begin(), 0.0);
  double error = (step.milliseconds - predicted) / step.milliseconds;
  double took = step.milliseconds;
  if (n_ > 32) {
    relative_error_ += 0.02 * (std::abs(error) - relative_error_);
    // Against what was predicted: a step that took a hundred times as long is 99 times off.
    const double off = (step.milliseconds - predicted) / std::max(predicted, 1e-9);
    // Never less than 5 %: after many equal steps a changed machine must still be noticed.
    const double bound = std::max(0.05, 3 * std::sqrt(variance_));
    error = std::clamp(off, -bound, bound);
    took = predicted * (1 + error);
  }
  variance_ = 0.98 * variance_ + 0.02 * error * error;
  const double weight = 1 / std::max(took * took, 1e-12);
  for (std::size_t i = 0; i < n_features; ++i) {
    for (std::size_t j = 0; j < n_features; ++j)
      products_[i][j] = forgetting * products_[i][j] + weight * phi[i] * phi[j];
    targets_[i] = forgetting * targets_[i] + weight * phi[i] * took;
  }
  ++n_;
  solve();
}

void cost_model::solve() noexcept {
  for (int sweep = 0; sweep < sweeps; ++sweep)
    for (std::size_t i = 0; i < n_features; ++i) {
      if (products_[i][i] <= 0)
        continue; // never seen: stays as it is
      double rest = targets_[i];
      for (std::size_t j = 0; j < n_features; ++j)
        if (j != i)
          rest -= products_[i][j] * theta_[j];
      theta_[i] = std::max(0.0, rest / products_[i][i]);
    }
}

double cost_model::predict_ms(double n_decode, double n_prefill,
                              double context_sum) const noexcept {
  return theta_[0] + theta_[1] * n_decode + theta_[2] * n_prefill + theta_[3] * context_sum / 1000;
}

cost_curve cost_model::as_curve() const {
  cost_curve out;
  const auto add = [&](std::uint32_t n_decode, std::uint32_t n_prefill, std::uint64_t context) {
    out.points.push_back({n_decode, n_prefill, context,
                          predict_ms(n_decode, n_prefill, static_cast<double>(context))});
  };
  for (const std::uint32_t context : {64u, 256u, 1024u}) {
    for (const std::uint32_t n : {1u, 2u, 4u, 8u})
      add(n, 0, std::uint64_t{n} * context);
    for (const std::uint32_t n : {16u, 64u, 256u})
      add(0, n, std::uint64_t{n} * context);
  }
  return out;
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
