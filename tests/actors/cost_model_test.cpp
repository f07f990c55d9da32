// SPDX-License-Identifier: MIT
#include "actors/cost_model.h"

#include <catch2/catch.hpp>

#include <random>

using namespace bitnetd::actors;

namespace {

/// A machine whose steps really take this long.
double truth(const cost_point& step, double speed = 1) {
  return speed * (2.0 + 0.5 * step.n_decode + 0.25 * step.n_prefill +
                  0.8 * static_cast<double>(step.context_sum) / 1000);
}

cost_point random_step(std::mt19937& random) {
  cost_point step;
  step.n_decode = static_cast<std::uint32_t>(random() % 17);
  step.n_prefill = random() % 2 ? static_cast<std::uint32_t>(random() % 200) : 0;
  step.context_sum = step.n_decode * (random() % 1500) + step.n_prefill * (random() % 300);
  return step;
}

double worst_error(const cost_model& model, double speed) {
  std::mt19937 random{99};
  double worst = 0;
  for (int i = 0; i < 200; ++i) {
    const auto step = random_step(random);
    const double predicted =
        model.predict_ms(step.n_decode, step.n_prefill, static_cast<double>(step.context_sum));
    worst = std::max(worst, std::abs(predicted - truth(step, speed)) / truth(step, speed));
  }
  return worst;
}

} // namespace

TEST_CASE("the cost model learns a machine from its steps, noise included",
          "[actors][cost_model]") {
  std::mt19937 random{1};
  std::normal_distribution<double> noise{1.0, 0.03};
  cost_model model;
  CHECK_FALSE(model.trained());
  for (int i = 0; i < 400; ++i) {
    auto step = random_step(random);
    step.milliseconds = truth(step) * noise(random);
    model.learn(step);
  }
  CHECK(model.trained());
  CHECK(worst_error(model, 1) < 0.10);
}

TEST_CASE("after the machine slows down by 30 % the model follows within 400 steps",
          "[actors][cost_model]") {
  std::mt19937 random{2};
  cost_model model;
  for (int i = 0; i < 800; ++i) {
    auto step = random_step(random);
    step.milliseconds = truth(step, i < 400 ? 1.0 : 1.3);
    model.learn(step);
  }
  CHECK(worst_error(model, 1.3) < 0.10);
}

TEST_CASE("one disturbed step moves the predictions little", "[actors][cost_model]") {
  std::mt19937 random{3};
  std::normal_distribution<double> noise{1.0, 0.02};
  cost_model model;
  for (int i = 0; i < 300; ++i) {
    auto step = random_step(random);
    step.milliseconds = truth(step) * noise(random);
    model.learn(step);
  }
  auto hiccup = random_step(random);
  hiccup.milliseconds = truth(hiccup) * 100;
  model.learn(hiccup);
  CHECK(worst_error(model, 1) < 0.25);
}

TEST_CASE("prefill rows within a target are those whose prediction meets it",
          "[actors][cost_model]") {
  std::mt19937 random{4};
  cost_model model;
  for (int i = 0; i < 400; ++i) {
    auto step = random_step(random);
    step.milliseconds = truth(step);
    model.learn(step);
  }
  const auto rows = model.prefill_within(30, 4, 2000);
  CHECK(model.predict_ms(4, rows, 2000) <= 30.01);
  CHECK(model.predict_ms(4, rows + 2, 2000) > 30);
  CHECK(model.prefill_within(0.5, 4, 0) == 0);
}

TEST_CASE("a whole job is its prefill steps and its decode steps", "[actors][cost_model]") {
  std::mt19937 random{5};
  cost_model model;
  for (int i = 0; i < 400; ++i) {
    auto step = random_step(random);
    step.milliseconds = truth(step);
    model.learn(step);
  }
  // 100 prompt tokens in chunks of 50, then 10 decode steps, summed by hand from `truth`.
  double expected = 2 * 2.0 + 0.25 * 100 + 0.8 * (100 * 101 / 2) / 1000;
  for (int i = 1; i <= 10; ++i)
    expected += 2.0 + 0.5 + 0.8 * (100 + i) / 1000;
  CHECK(model.predict_job_ms(100, 10, 50) == Approx(expected).epsilon(0.05));
}
