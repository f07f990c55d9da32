// SPDX-License-Identifier: MIT
#include "actors/hit_calibrator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace bitnetd::actors {

namespace {

// One-sided 99 %, not 95 %: the lowest score that passes is picked among forty, entries change
// between audit and hit, and an audited question is an exact hit from then on while a wrong hit is
// given as often as it is asked. On the development families it leaves hits with a share of wrong
// ones of a tenth of the promise (docs/cache.md).
constexpr double z_bound = 2.33;
constexpr double widest_logit = 8;   // beyond it a score is as good as certain
constexpr double even_odds = 0.5;    // a hit that is more likely wrong than right is never served
constexpr double half_life = 30'000; // decisions after which one counts half
constexpr double fade_every = 256;
constexpr double least_audits = 1; // in a stratum

double logit_of(double score) noexcept {
  const double p = std::clamp(score, 1e-9, 1 - 1e-9);
  return std::log(p / (1 - p));
}

std::size_t bin_of(double score) noexcept {
  const double at = (std::clamp(logit_of(score), -widest_logit, widest_logit) + widest_logit) /
                    (2 * widest_logit) * hit_calibrator::n_bins;
  return std::min(static_cast<std::size_t>(at), hit_calibrator::n_bins - 1);
}

/// The least score that falls into this bin.
double edge_of(std::size_t bin) noexcept {
  const double logit =
      static_cast<double>(bin) / hit_calibrator::n_bins * 2 * widest_logit - widest_logit;
  return 1 / (1 + std::exp(-logit));
}

} // namespace

double wilson_upper(double wrong, double seen, double z) noexcept {
  if (seen <= 0)
    return 1;
  const double p = std::clamp(wrong / seen, 0.0, 1.0), zz = z * z / seen;
  const double centre = p + zz / 2, spread = z * std::sqrt(p * (1 - p) / seen + zz / (4 * seen));
  return std::min(1.0, (centre + spread) / (1 + zz));
}

void hit_calibrator::fade() {
  since_fade_ = 0;
  const double keep = std::exp2(-fade_every / half_life);
  for (auto& one : bins_) {
    one.decided *= keep;
    one.audited *= keep;
    one.wrong *= keep;
  }
}

void hit_calibrator::decided(double score) {
  bins_[bin_of(score)].decided += 1;
  if (++since_fade_ >= fade_every)
    fade();
}

void hit_calibrator::audited(double score, bool wrong) {
  auto& at = bins_[bin_of(score)];
  at.audited += 1;
  at.wrong += wrong ? 1 : 0;
}

// A stratified estimate: a bin's share of wrong answers comes from its audits, its weight from its
// decisions. So the many audits from the time before a bin was served go on counting when only one
// in twenty of its hits is audited.
void hit_calibrator::recompute(double most_wrong, const judge_noise& noise) noexcept {
  open_ = false;
  double all = 0;
  for (const auto& one : bins_)
    all += one.decided;
  double mass = 0, wrong = 0, variance = 0; // of the strata so far
  bin stratum;                              // bins joined until one of them was audited
  for (std::size_t i = n_bins; i-- > 0 && edge_of(i) >= even_odds;) {
    stratum.decided += bins_[i].decided;
    stratum.audited += bins_[i].audited;
    stratum.wrong += bins_[i].wrong;
    if (stratum.audited < least_audits || stratum.decided <= 0)
      continue;
    mass += stratum.decided;
    wrong += stratum.decided * stratum.wrong / stratum.audited;
    variance += stratum.decided * stratum.decided / stratum.audited;
    stratum = {};
    const double effective = mass * mass / variance, observed = wrong / mass;
    // Rogan and Gladen 1978: the true share from the one that an erring judge reports. The bound is
    // taken on what was observed and corrected by the same map, which widens it as it must.
    const double usable = std::max(1 - noise.false_wrong - noise.false_right, 1e-3);
    const auto corrected = [&](double share) {
      return std::clamp((share - noise.false_wrong) / usable, 0.0, 1.0);
    };
    const double upper = corrected(wilson_upper(observed * effective, effective, z_bound));
    // A judge that errs more often than the bound allows proves nothing below its own rate.
    if (upper <= most_wrong && noise.false_wrong <= most_wrong) {
      open_ = true;
      least_ = edge_of(i);
      bound_ = upper;
      measured_ = corrected(observed);
      effective_ = effective;
      share_ = all > 0 ? mass / all : 0;
    }
  }
}

std::string hit_calibrator::encode() const {
  static_assert(sizeof(bins_) == n_bins * 3 * sizeof(double));
  std::string out(sizeof(bins_), '\0');
  std::memcpy(out.data(), bins_.data(), out.size());
  return out;
}

bool hit_calibrator::decode(std::string_view bytes) {
  if (bytes.size() != sizeof(bins_))
    return false;
  std::array<bin, n_bins> read{};
  std::memcpy(read.data(), bytes.data(), bytes.size());
  for (const auto& one : read)
    if (!(one.decided >= 0) || !(one.audited >= 0) || !(one.wrong >= 0) ||
        !std::isfinite(one.decided + one.audited + one.wrong))
      return false;
  bins_ = read;
  return true;
}

} // namespace bitnetd::actors
