// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/policies.h"

#include "actors/hit_rule.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

namespace bitnetd::bench {
namespace {

class static_policy final : public policy {
public:
  explicit static_policy(double least) : least_(least) {}
  std::optional<std::size_t> decide(std::span<const candidate> near) override {
    return near.front().similarity >= least_ ? std::optional<std::size_t>{0} : std::nullopt;
  }
  bool computed(std::span<const candidate>) override { return true; }

private:
  double least_;
};

class oracle_policy final : public policy {
public:
  std::optional<std::size_t> decide(std::span<const candidate> near) override {
    const auto found = std::ranges::find(near, true, &candidate::right);
    if (found == near.end())
      return std::nullopt;
    return static_cast<std::size_t>(found - near.begin());
  }
  bool computed(std::span<const candidate>) override { return true; }
};

double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

/// Quantile of the standard normal distribution, by bisection of its erfc: this is a benchmark.
double normal_quantile(double p) {
  double low = -9, high = 9;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

/// One entry of vCache: its observations and the sigmoid through them.
struct vcache_entry {
  std::vector<std::pair<double, double>> seen{{0.0, 0.0}, {1.0, 1.0}}; // similarity, right
  double threshold = 1, steepness = 1, variance = 1;

  void fit() {
    double b0 = 0, b1 = 1, h00 = 0, h01 = 0, h11 = 0;
    for (int step = 0; step < 100; ++step) {
      constexpr double ridge = 1e-6; // without it separable data has no maximum
      double g0 = -ridge * b0, g1 = -ridge * b1;
      h00 = h11 = ridge;
      h01 = 0;
      for (const auto& [s, right] : seen) {
        const double p = sigmoid(b0 + b1 * s), w = p * (1 - p);
        h00 += w;
        h01 += w * s;
        h11 += w * s * s;
        g0 += right - p;
        g1 += (right - p) * s;
      }
      const double det = std::max(h00 * h11 - h01 * h01, 1e-12);
      const double d0 = (h11 * g0 - h01 * g1) / det, d1 = (h00 * g1 - h01 * g0) / det;
      const double limit = std::max(1.0, std::max(std::fabs(d0), std::fabs(d1)) / 20);
      b0 += d0 / limit;
      b1 += d1 / limit;
      if (std::fabs(d0) + std::fabs(d1) < 1e-6)
        break;
    }
    steepness = std::max(b1, 1e-6);
    threshold = std::clamp(-b0 / steepness, 0.0, 1.0);
    double least_right = 2, most_wrong = -1;
    for (const auto& [s, right] : seen) {
      if (right > 0)
        least_right = std::min(least_right, s);
      else
        most_wrong = std::max(most_wrong, s);
    }
    if (least_right > most_wrong) {
      variance = 0.21 / static_cast<double>(seen.size());
      return;
    }
    const double det = std::max(h00 * h11 - h01 * h01, 1e-12);
    const double d0 = -1 / steepness, d1 = b0 / (steepness * steepness);
    variance = std::max(0.0, (d0 * d0 * h11 - 2 * d0 * d1 * h01 + d1 * d1 * h00) / det);
  }
};

class vcache_policy final : public policy {
public:
  vcache_policy(double delta, bool add_every, std::uint64_t seed)
      : delta_(delta), add_every_(add_every), random_(seed) {
    for (int i = 0; i < 50; ++i) {
      const double e = 1e-6 + (1 - 2e-6) * i / 49;
      grid_.push_back({e, normal_quantile(1 - e)});
    }
  }
  std::optional<std::size_t> decide(std::span<const candidate> near) override {
    const auto& entry = entries_[near.front().entry];
    if (entry.seen.size() < 6)
      return std::nullopt;
    const double s = std::round(near.front().similarity * 1000) / 1000;
    double explore = 1;
    for (const auto& [e, quantile] : grid_) {
      const double t = std::clamp(entry.threshold + quantile * std::sqrt(entry.variance), 0.0, 1.0);
      const double p = (1 - e) * sigmoid(entry.steepness * (s - t));
      explore = std::min(explore, 1 - delta_ / std::max(1 - p, 1e-12));
    }
    return unit(random_) <= explore ? std::nullopt : std::optional<std::size_t>{0};
  }
  bool computed(std::span<const candidate> near) override {
    if (near.empty())
      return true;
    ++labels_;
    auto& entry = entries_[near.front().entry];
    entry.seen.emplace_back(std::round(near.front().similarity * 1000) / 1000,
                            near.front().right ? 1.0 : 0.0);
    if (entry.seen.size() >= 6)
      entry.fit();
    return add_every_ || !near.front().right;
  }
  [[nodiscard]] std::size_t labels() const override { return labels_; }

private:
  double delta_;
  bool add_every_;
  std::mt19937_64 random_;
  std::vector<std::pair<double, double>> grid_;
  std::unordered_map<std::uint64_t, vcache_entry> entries_;
  std::size_t labels_ = 0;
};

class trusted_policy final : public policy {
public:
  trusted_policy(double most_wrong, double false_wrong, double false_right, std::uint64_t seed)
      : rule_(most_wrong, {false_wrong, false_right}), false_wrong_(false_wrong),
        false_right_(false_right), random_(seed) {}

  std::optional<std::size_t> decide(std::span<const candidate> near) override {
    features_ =
        actors::hit_features_of(near.front().similarity, near.front().replaced, near.front().added,
                                near.front().moved);
    last_ = rule_.decide(near.front().entry, features_);
    if (last_.serves && unit(random_) >= rule_.audit_share(near.front().entry))
      return 0;
    return std::nullopt;
  }
  bool computed(std::span<const candidate> near) override {
    if (near.empty())
      return true;
    const bool right = near.front().right;
    const bool judged = right ? unit(random_) >= false_wrong_ : unit(random_) < false_right_;
    rule_.learn(near.front().entry, features_, last_.confidence, judged);
    return true; // more wordings, more that are near to one of them
  }
  [[nodiscard]] std::size_t labels() const override { return rule_.labels(); }
  [[nodiscard]] std::optional<double> confidence() const override { return last_.confidence; }
  [[nodiscard]] std::optional<double> bound() const override { return rule_.calibrator().bound(); }

private:
  actors::hit_rule rule_;
  double false_wrong_, false_right_;
  std::mt19937_64 random_;
  actors::hit_features features_{};
  actors::hit_decision last_;
};

} // namespace

std::unique_ptr<policy> static_threshold(double least) {
  return std::make_unique<static_policy>(least);
}
std::unique_ptr<policy> vcache(double delta, bool add_every, std::uint64_t seed) {
  return std::make_unique<vcache_policy>(delta, add_every, seed);
}
std::unique_ptr<policy> trusted(double most_wrong, double false_wrong, double false_right,
                                std::uint64_t seed) {
  return std::make_unique<trusted_policy>(most_wrong, false_wrong, false_right, seed);
}
std::unique_ptr<policy> oracle() { return std::make_unique<oracle_policy>(); }

} // namespace bitnetd::bench
