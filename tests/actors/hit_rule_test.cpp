// SPDX-License-Identifier: MIT
#include "actors/hit_rule.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <random>

using namespace bitnetd::actors;

namespace {

/// Numbers that do not differ between standard libraries.
struct dice {
  std::mt19937_64 random{7};
  double unit() { return static_cast<double>(random() >> 11) * 0x1p-53; }
};

/// Plays a world in which an answer is right with probability `right(confidence-free cosine)`.
template <class Right>
std::pair<std::size_t, std::size_t> play(hit_rule& rule, dice& d, std::size_t n,
                                         const Right& right) {
  std::size_t hits = 0, wrong = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double cosine = 0.5 + 0.5 * d.unit();
    const auto x = hit_features_of(cosine, 0, 0, 0);
    const std::uint64_t entry = d.random() % 200;
    const auto decision = rule.decide(entry, x);
    const bool is_right = d.unit() < right(cosine);
    if (decision.serves && d.unit() >= rule.audit_share(entry)) {
      ++hits;
      wrong += !is_right;
    } else {
      rule.learn(entry, x, decision.confidence, is_right);
    }
  }
  return {hits, wrong};
}

} // namespace

TEST_CASE("without audits nothing is served", "[actors][cache]") {
  hit_rule rule(0.05);
  const auto decision = rule.decide(1, hit_features_of(1.0, 0, 0, 0));
  CHECK_FALSE(decision.serves);
  CHECK(decision.bound == 1.0);
  CHECK(decision.confidence > 0.5);
}

TEST_CASE("the share of wrong hits stays under the bound", "[actors][cache]") {
  const double most = GENERATE(0.02, 0.05);
  hit_rule rule(most);
  dice d;
  // From 0.8 on 0.2 % are wrong, below that a third.
  const auto right = [](double cosine) { return cosine >= 0.8 ? 0.998 : 0.66; };
  const auto [hits, wrong] = play(rule, d, 20'000, right);
  CHECK(hits > 1500);
  CHECK(static_cast<double>(wrong) <= most * static_cast<double>(hits));
  CHECK(rule.calibrator().open());
  CHECK(rule.calibrator().bound() <= most);
}

TEST_CASE("a world in which no similarity is safe is never served", "[actors][cache]") {
  hit_rule rule(0.02);
  dice d;
  const auto [hits, wrong] = play(rule, d, 10'000, [](double) { return 0.8; });
  CHECK(hits == 0);
  CHECK(wrong == 0);
}

TEST_CASE("when answers turn bad the audits close the tier again", "[actors][cache]") {
  hit_rule rule(0.05);
  dice d;
  (void)play(rule, d, 5'000, [](double) { return 0.999; });
  REQUIRE(rule.calibrator().open());
  const auto [hits, wrong] = play(rule, d, 20'000, [](double) { return 0.3; });
  CHECK_FALSE(rule.calibrator().open());
  CHECK(hits < 5'000);
  CHECK(wrong > 0);
}

TEST_CASE("a judge that errs more often than the bound allows keeps the tier closed",
          "[actors][cache]") {
  hit_rule deaf(0.01, {0.02, 0.0});
  dice d;
  CHECK(play(deaf, d, 10'000, [](double) { return 1.0; }).first == 0);
  // One that errs less is corrected for: it calls 1 % of the right answers wrong.
  hit_rule known(0.02, {0.01, 0.0});
  CHECK(play(known, d, 20'000, [](double) { return 0.99; }).first > 5'000);
}

TEST_CASE("what is known of one entry moves its own score most", "[actors][cache]") {
  hit_rule rule(0.05);
  const auto x = hit_features_of(0.9, 0, 0, 0);
  const auto before = rule.look(1, x).confidence, other = rule.look(2, x).confidence;
  CHECK(before == other);
  for (int i = 0; i < 4; ++i)
    rule.learn(1, x, before, false);
  CHECK(rule.look(1, x).confidence < 0.5 * before);
  CHECK(rule.look(2, x).confidence == Approx(other)); // the prior learns later, from many
  rule.learn(1, x, before, true);
  rule.forget(1);
  CHECK(rule.look(1, x).confidence == Approx(before));
}

TEST_CASE("an entry that was never found right is computed beside more often", "[actors][cache]") {
  hit_rule rule(0.05);
  const auto x = hit_features_of(0.9, 0, 0, 0);
  const auto usual = [&] { return rule.audit_share(1); };
  const auto on_probation = usual();
  rule.learn(1, x, 0, false);
  CHECK(usual() == on_probation);
  rule.learn(1, x, 0, true);
  CHECK(usual() < on_probation);
  CHECK(rule.audit_share(2) == on_probation);
}

TEST_CASE("a replaced or moved word lowers the score, more similarity raises it", "[actors][cache]") {
  const auto prior = default_hit_prior();
  double last = 0;
  for (double cosine = 0.3; cosine <= 1.0; cosine += 0.05) {
    const auto now = score(prior, hit_features_of(cosine, 0, 0, 0));
    CHECK(now > last);
    CHECK(score(prior, hit_features_of(cosine, 1, 0, 0)) < now);
    CHECK(score(prior, hit_features_of(cosine, 0, 2, 0)) < now);
    CHECK(score(prior, hit_features_of(cosine, 0, 0, 1)) < now);
    last = now;
  }
}

TEST_CASE("fitting follows the data and survives data without overlap", "[actors][cache]") {
  std::vector<hit_observation> seen;
  for (int i = 0; i < 32; ++i)
    seen.push_back({hit_features_of(0.8 + 0.005 * i, 0, 0, 0), i >= 16});
  const auto fitted = fit(default_hit_prior(), seen);
  CHECK(score(fitted, hit_features_of(0.82, 0, 0, 0)) < 0.5);
  CHECK(score(fitted, hit_features_of(0.95, 0, 0, 0)) > 0.6);
  for (const double c : fitted.mean)
    CHECK(std::isfinite(c));
}

TEST_CASE("a calibrator survives the store, and bytes that are none do not become one",
          "[actors][cache]") {
  hit_calibrator one;
  for (int i = 0; i < 1000; ++i) {
    one.decided(0.9);
    one.audited(0.9, i % 100 == 0);
  }
  one.recompute(0.05);
  REQUIRE(one.open());
  hit_calibrator other;
  REQUIRE(other.decode(one.encode()));
  other.recompute(0.05);
  CHECK(other.bound() == one.bound());
  CHECK(other.least_score() == one.least_score());
  CHECK_FALSE(other.decode("x"));
  CHECK_FALSE(other.decode(std::string(one.encode().size(), '\xff'))); // not a number
}

TEST_CASE("Wilson's bound is what the published formula gives", "[actors][cache]") {
  CHECK(wilson_upper(0, 100, 1.96) == Approx(0.03699).margin(1e-4));
  CHECK(wilson_upper(10, 100, 1.96) == Approx(0.17436).margin(1e-4));
  CHECK(wilson_upper(0, 0, 1.96) == 1);
}
