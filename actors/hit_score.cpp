// SPDX-License-Identifier: MIT
#include "actors/hit_score.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bitnetd::actors {

namespace {

constexpr std::size_t n = n_hit_features;
constexpr int newton_steps = 20;
constexpr int em_steps = 4;
constexpr double largest_count = 4; // beyond this many words it makes no difference

double sigmoid(double z) noexcept { return 1 / (1 + std::exp(-z)); }

double dot(const hit_features& a, const hit_features& b) noexcept {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    sum += a[i] * b[i];
  return sum;
}

hit_features times(const hit_matrix& m, const hit_features& v) noexcept {
  hit_features out{};
  for (std::size_t i = 0; i < n; ++i)
    out[i] = dot(m[i], v);
  return out;
}

/// Inverse of a symmetric positive definite matrix: Gauss and Jordan, no pivots needed.
hit_matrix inverse(hit_matrix m) noexcept {
  hit_matrix out{};
  for (std::size_t i = 0; i < n; ++i)
    out[i][i] = 1;
  for (std::size_t c = 0; c < n; ++c) {
    const double pivot = std::max(m[c][c], 1e-12);
    for (std::size_t j = 0; j < n; ++j) {
      m[c][j] /= pivot;
      out[c][j] /= pivot;
    }
    for (std::size_t r = 0; r < n; ++r) {
      if (r == c)
        continue;
      const double factor = m[r][c];
      for (std::size_t j = 0; j < n; ++j) {
        m[r][j] -= factor * m[c][j];
        out[r][j] -= factor * out[c][j];
      }
    }
  }
  return out;
}

void add_outer(hit_matrix& to, const hit_features& v, double weight) noexcept {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      to[i][j] += weight * v[i] * v[j];
}

} // namespace

hit_features hit_features_of(double cosine, std::size_t replaced, std::size_t added,
                             std::size_t moved) noexcept {
  const auto count = [](std::size_t words) {
    return std::min(static_cast<double>(words), largest_count);
  };
  return {1, cosine - 0.85, count(replaced), count(added), count(moved)};
}

hit_belief default_hit_prior() noexcept {
  hit_belief out;
  out.mean = {3.0, 8, -2.0, -1.0, -1.0};
  out.covariance[0][0] = 1.5 * 1.5;
  out.covariance[1][1] = 5.0 * 5.0;
  out.covariance[2][2] = 1.5 * 1.5;
  out.covariance[3][3] = 0.8 * 0.8;
  out.covariance[4][4] = 1.0 * 1.0;
  return out;
}

namespace {

/// What fit maximises: log likelihood and log prior, up to a constant.
double objective(const hit_features& beta, const hit_belief& prior, const hit_matrix& precision,
                 std::span<const hit_observation> seen) noexcept {
  hit_features away{};
  for (std::size_t i = 0; i < n; ++i)
    away[i] = beta[i] - prior.mean[i];
  double sum = -0.5 * dot(away, times(precision, away));
  for (const auto& one : seen) {
    const double z = dot(beta, one.x) * (one.right ? 1 : -1);
    sum -= z > 0 ? std::log1p(std::exp(-z)) : std::log1p(std::exp(z)) - z;
  }
  return sum;
}

} // namespace

hit_belief fit(const hit_belief& prior, std::span<const hit_observation> seen) noexcept {
  if (seen.empty())
    return prior;
  const auto precision = inverse(prior.covariance);
  hit_belief out = prior;
  double reached = objective(out.mean, prior, precision, seen);
  for (int step = 0; step < newton_steps; ++step) {
    auto curvature = precision;
    hit_features away{};
    for (std::size_t i = 0; i < n; ++i)
      away[i] = prior.mean[i] - out.mean[i];
    auto gradient = times(precision, away);
    for (const auto& one : seen) {
      const double p = sigmoid(dot(out.mean, one.x));
      add_outer(curvature, one.x, p * (1 - p));
      for (std::size_t i = 0; i < n; ++i)
        gradient[i] += ((one.right ? 1.0 : 0.0) - p) * one.x[i];
    }
    out.covariance = inverse(curvature);
    const auto move = times(out.covariance, gradient);
    // Where the curve is flat a whole Newton step leads past the maximum: half of it, until it
    // climbs.
    double share = 1, gained = 0;
    for (; share > 1e-4; share /= 2) {
      auto next = out.mean;
      for (std::size_t i = 0; i < n; ++i)
        next[i] += share * move[i];
      const double there = objective(next, prior, precision, seen);
      if (there >= reached) {
        gained = there - reached;
        reached = there;
        out.mean = next;
        break;
      }
    }
    if (gained < 1e-9)
      break;
  }
  return out;
}

double score(const hit_belief& belief, const hit_features& x) noexcept {
  const double m = dot(belief.mean, x);
  const double v = std::max(dot(x, times(belief.covariance, x)), 0.0);
  return sigmoid(m / std::sqrt(1 + std::numbers::pi * v / 8));
}

hit_belief shared_prior(const hit_belief& start, double weight,
                        std::span<const std::vector<hit_observation>> entries) {
  auto prior = start;
  for (int step = 0; step < em_steps && !entries.empty(); ++step) {
    std::vector<hit_belief> fitted;
    fitted.reserve(entries.size());
    for (const auto& seen : entries)
      fitted.push_back(fit(prior, seen));
    const double total = weight + static_cast<double>(entries.size());
    hit_belief next;
    for (std::size_t i = 0; i < n; ++i) {
      double sum = weight * start.mean[i];
      for (const auto& one : fitted)
        sum += one.mean[i];
      next.mean[i] = sum / total;
    }
    const auto spread = [&](const hit_belief& one, double share) {
      hit_features away{};
      for (std::size_t i = 0; i < n; ++i)
        away[i] = one.mean[i] - next.mean[i];
      add_outer(next.covariance, away, share);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
          next.covariance[i][j] += share * one.covariance[i][j];
    };
    spread(start, weight / total);
    for (const auto& one : fitted)
      spread(one, 1 / total);
    prior = next;
  }
  return prior;
}

} // namespace bitnetd::actors
