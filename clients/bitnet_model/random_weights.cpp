// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/random_weights.h"

#include "engine/tensor_type.h"

#include <bit>
#include <cmath>

namespace bitnetd::model_tool {

namespace {

/// The number below which a normal number falls with this probability, by Newton's method on the
/// error function; `guess` is the answer for a neighbouring probability.
double normal_quantile(double probability, double guess) noexcept {
  constexpr double inverse_root_2pi = 0.39894228040143267794;
  for (int i = 0; i < 8; ++i) {
    const double excess = 0.5 * std::erfc(-guess / std::sqrt(2.0)) - probability;
    guess -= excess / (inverse_root_2pi * std::exp(-0.5 * guess * guess));
  }
  return guess;
}

} // namespace

random_source::random_source(std::uint64_t seed) noexcept : state_{} {
  for (auto& word : state_) { // splitmix64
    seed += 0x9e3779b97f4a7c15u;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
}

std::uint64_t random_source::operator()() noexcept {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

normal_source::normal_source(std::uint64_t seed, float deviation)
    : random_{seed}, quantiles_(65'536), half_quantiles_(65'536) {
  // From the middle outwards, so that each answer starts from its neighbour's; the lower half is
  // the mirror image of the upper one.
  double quantile = 0;
  for (std::size_t i = 32'768; i < 65'536; ++i) {
    quantile = normal_quantile((static_cast<double>(i) + 0.5) / 65'536, quantile);
    quantiles_[i] = static_cast<float>(quantile) * deviation;
    quantiles_[65'535 - i] = -quantiles_[i];
  }
  for (std::size_t i = 0; i < quantiles_.size(); ++i)
    half_quantiles_[i] = engine::float_to_half(quantiles_[i]);
}

template <class T>
void normal_source::draw(std::span<T> values, const std::vector<T>& table) noexcept {
  std::size_t i = 0;
  while (i < values.size()) {
    std::uint64_t bits = random_();
    for (int part = 0; part < 4 && i < values.size(); ++part, bits >>= 16)
      values[i++] = table[bits & 65'535];
  }
}

void normal_source::fill(std::span<float> values) noexcept { draw(values, quantiles_); }

void normal_source::fill_half(std::span<std::uint16_t> values) noexcept {
  draw(values, half_quantiles_);
}

} // namespace bitnetd::model_tool
