// SPDX-License-Identifier: MIT
#include "engine/counter_rng.h"
#include "engine/sampler.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

using namespace bitnetd::engine;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::mt19937& random, std::size_t n) {
  std::normal_distribution<float> normal{0.0f, 3.0f};
  std::vector<float> logits(n);
  for (auto& l : logits)
    l = std::round(normal(random) * 2) / 2; // many ties
  return logits;
}

/// Probability of each token, by the definition in sampler.h and with full sorts.
std::vector<double> naive_distribution(std::span<const float> logits, const sampling_params& params,
                                       std::span<const token_id> recent) {
  std::vector<double> l(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias)
    if (id >= 0 && static_cast<std::size_t>(id) < l.size())
      l[static_cast<std::size_t>(id)] += bias;
  const std::set<token_id> seen(recent.end() - std::min<std::ptrdiff_t>(64, std::ssize(recent)),
                                recent.end());
  for (const auto id : seen)
    if (id >= 0 && static_cast<std::size_t>(id) < l.size()) {
      auto& x = l[static_cast<std::size_t>(id)];
      x = x > 0 ? x / params.repetition_penalty : x * params.repetition_penalty;
    }
  std::vector<std::size_t> order(l.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return l[a] > l[b]; });
  const double top = l[order[0]];
  const auto weight = [&](std::size_t i) { return std::exp((l[i] - top) / params.temperature); };
  if (params.top_k > 0 && params.top_k < order.size())
    order.resize(params.top_k);
  double total = 0;
  for (const auto i : order)
    total += weight(i);
  double share = 0;
  std::size_t kept = 0;
  while (kept < order.size() && (kept == 0 || share < params.top_p * total))
    share += weight(order[kept++]);
  if (params.top_p < 1)
    order.resize(kept);
  std::erase_if(order, [&](std::size_t i) { return weight(i) < params.min_p; });
  total = 0;
  for (const auto i : order)
    total += weight(i);
  std::vector<double> probability(l.size());
  for (const auto i : order)
    probability[i] = weight(i) / total;
  return probability;
}

/// The token that a uniform number picks from a distribution.
token_id naive_pick(const std::vector<double>& probability, double uniform) {
  double sum = 0;
  token_id last = -1;
  for (std::size_t i = 0; i < probability.size(); ++i) {
    sum += probability[i];
    if (probability[i] > 0)
      last = static_cast<token_id>(i);
    if (sum > uniform)
      return static_cast<token_id>(i);
  }
  return last;
}

} // namespace

TEST_CASE("the generator is Philox4x32-10", "[engine][sampler]") {
  // Known answers of the Random123 distribution.
  using block = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr auto ones = 0xffffffffu;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
        block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers are in [0, 1) and spread evenly", "[engine][sampler]") {
  std::array<int, 16> bins{};
  for (std::uint64_t i = 0; i < 16000; ++i) {
    const auto u = uniform_draw(i % 7, i);
    REQUIRE((u >= 0 && u < 1));
    ++bins[static_cast<std::size_t>(u * 16)];
  }
  double chi_square = 0;
  for (const int n : bins)
    chi_square += (n - 1000.0) * (n - 1000.0) / 1000.0;
  CHECK(chi_square < 37.7); // 15 degrees of freedom, p = 0.001
}

TEST_CASE("greedy takes the first largest logit and its log-softmax", "[engine][sampler]") {
  const std::vector<float> logits = {1, 3, -infinity, 3, 2};
  const auto drawn = draw(logits, {}, {}, 0);
  CHECK(drawn.token == 1);
  // -ln(e^-2 + 1 + 1 + e^-1), by hand
  CHECK(drawn.logprob == Approx(-0.9176).margin(1e-4));
  CHECK(draw(logits, {}, {}, 99).token == 1);
}

TEST_CASE("log-softmax of large logits neither overflows nor vanishes", "[engine][sampler]") {
  const std::vector<float> logits = {3e38f, 3e38f, -3e38f};
  CHECK(draw(logits, {}, {}, 0).logprob == Approx(std::log(0.5)));
}

TEST_CASE("a row with NaN or infinity, or without any finite logit, gives no token",
          "[engine][sampler]") {
  sampling_params sampled;
  sampled.temperature = 1;
  for (const auto& params : {sampling_params{}, sampled}) {
    CHECK(draw(std::vector<float>{1, std::nanf(""), 2}, params, {}, 0).token == -1);
    CHECK(draw(std::vector<float>{std::nanf("")}, params, {}, 0).token == -1);
    CHECK(draw(std::vector<float>{1, infinity}, params, {}, 0).token == -1);
    CHECK(draw(std::vector<float>{-infinity, -infinity}, params, {}, 0).token == -1);
    CHECK(draw({}, params, {}, 0).token == -1);
    CHECK(draw(std::vector<float>{-infinity, -5}, params, {}, 0).token == 1);
  }
  sampling_params biased;
  biased.logit_bias = {{0, infinity}};
  CHECK(draw(std::vector<float>{1, 2}, biased, {}, 0).token == -1);
  biased.logit_bias = {{0, -infinity}, {1, -infinity}};
  CHECK(draw(std::vector<float>{1, 2}, biased, {}, 0).token == -1);
}

TEST_CASE("bias and repetition penalty act on greedy too", "[engine][sampler]") {
  const std::vector<float> logits = {1, 4, 3, -1};
  sampling_params params;
  params.logit_bias = {{1, -infinity}, {7, 100.0f}, {-2, 100.0f}};
  CHECK(draw(logits, params, {}, 0).token == 2);
  CHECK(draw(logits, params, {}, 0).logprob == Approx(draw(logits, {}, {}, 0).logprob - 1));
  params.logit_bias = {{3, 6.0f}};
  CHECK(draw(logits, params, {}, 0).token == 3);

  params = {};
  params.repetition_penalty = 2;
  std::vector<token_id> recent = {1, 1, 1, 500, -3};
  CHECK(draw(logits, params, recent, 0).token == 2); // 4 / 2 once, not 4 / 8
  recent.insert(recent.end(), 64, 3);                // token 1 has left the window of 64
  CHECK(draw(logits, params, recent, 0).token == 1);
}

TEST_CASE("the draw of an index is the same whatever came before it", "[engine][sampler]") {
  std::mt19937 random{11};
  const auto logits = random_logits(random, 50);
  sampling_params params;
  params.temperature = 1.5f;
  params.seed = 12345678901234567890u;
  std::vector<token_id> first, second;
  for (std::uint64_t i = 0; i < 200; ++i)
    first.push_back(draw(logits, params, {}, i).token);
  for (std::uint64_t i = 200; i-- > 0;)
    second.insert(second.begin(), draw(logits, params, {}, i).token);
  CHECK(first == second);
  CHECK(std::set<token_id>(first.begin(), first.end()).size() > 5);
  params.seed ^= std::uint64_t{1} << 63; // every bit of a seed counts
  std::vector<token_id> other;
  for (std::uint64_t i = 0; i < 200; ++i)
    other.push_back(draw(logits, params, {}, i).token);
  CHECK(first != other);
}

TEST_CASE("drawn tokens have the distribution of the softmax", "[engine][sampler]") {
  const std::vector<float> logits = {0.5f, 2.0f, -1.0f, 1.0f, 0.0f, 1.5f};
  sampling_params params;
  params.temperature = GENERATE(0.5f, 1.0f, 2.0f);
  params.seed = 42;
  std::map<token_id, int> counts;
  constexpr int n = 20000;
  for (std::uint64_t i = 0; i < n; ++i)
    ++counts[draw(logits, params, {}, i).token];
  double total = 0, chi_square = 0;
  for (const float l : logits)
    total += std::exp(l / params.temperature);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double expected = n * std::exp(logits[i] / params.temperature) / total;
    const double difference = counts[static_cast<token_id>(i)] - expected;
    chi_square += difference * difference / expected;
  }
  CHECK(chi_square < 20.5); // 5 degrees of freedom, p = 0.001
}

TEST_CASE("filters and draw agree with the definition written out", "[engine][sampler]") {
  std::mt19937 random{13};
  const auto one_of = [&](std::initializer_list<float> values) {
    return *(values.begin() + random() % values.size());
  };
  for (int i = 0; i < 3000; ++i) {
    const auto logits = random_logits(random, 1 + random() % (i % 100 == 0 ? 5000 : 100));
    sampling_params params;
    params.temperature = one_of({0.1f, 0.7f, 1.0f, 3.0f, 100.0f});
    params.top_k = random() % 3 == 0 ? 0 : static_cast<std::uint32_t>(1 + random() % 120);
    params.top_p = one_of({1.0f, 0.95f, 0.5f, 0.01f});
    params.min_p = one_of({0.0f, 0.02f, 0.3f, 0.99f});
    params.repetition_penalty = one_of({1.0f, 1.0f, 1.3f, 0.7f});
    params.seed = random();
    if (random() % 2 == 0)
      params.logit_bias = {
          {static_cast<token_id>(random() % 100), one_of({5.0f, -infinity, 0.25f})}};
    std::vector<token_id> recent(random() % 100);
    for (auto& id : recent)
      id = static_cast<token_id>(random() % 120);

    const auto probability = naive_distribution(logits, params, recent);
    if (std::isnan(std::accumulate(probability.begin(), probability.end(), 0.0)))
      continue; // the only token was banned
    const auto index = static_cast<std::uint64_t>(i);
    const auto drawn = draw(logits, params, recent, index);
    CAPTURE(i, params.temperature, params.top_k, params.top_p, params.min_p);
    REQUIRE(drawn.token == naive_pick(probability, uniform_draw(params.seed, index)));
    double total = 0;
    for (const float l : logits)
      total += std::exp(double{l});
    REQUIRE(drawn.logprob ==
            Approx(logits[static_cast<std::size_t>(drawn.token)] - std::log(total)).margin(1e-5));
  }
}

TEST_CASE("filters that leave one token make every draw that token", "[engine][sampler]") {
  const std::vector<float> logits = {1, 1, 5, 5, 0};
  for (std::uint64_t i = 0; i < 100; ++i) {
    sampling_params params;
    params.temperature = 1;
    params.top_k = 1;
    CHECK(draw(logits, params, {}, i).token == 2); // ties to the lowest id
    params.top_k = 0;
    params.top_p = 1e-6f;
    CHECK(draw(logits, params, {}, i).token == 2);
    params.top_p = 1;
    params.min_p = 0.999f;
    const auto token = draw(logits, params, {}, i).token;
    CHECK((token == 2 || token == 3));
  }
}
