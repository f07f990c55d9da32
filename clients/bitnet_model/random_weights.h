// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::model_tool {

/// xoshiro256**, seeded by splitmix64: the same numbers on every machine.
class random_source {
public:
  using result_type = std::uint64_t;

  explicit random_source(std::uint64_t seed) noexcept;
  [[nodiscard]] std::uint64_t operator()() noexcept;

private:
  std::array<std::uint64_t, 4> state_;
};

/// Draws normal numbers from a table of 65,536 quantiles of the normal distribution: four for every
/// number of the source, fast enough for billions. The tails end at 4.3 deviations.
class normal_source {
public:
  normal_source(std::uint64_t seed, float deviation);

  void fill(std::span<float> values) noexcept;
  /// The same, rounded to IEEE half.
  void fill_half(std::span<std::uint16_t> values) noexcept;

private:
  template <class T> void draw(std::span<T> values, const std::vector<T>& table) noexcept;

  random_source random_;
  std::vector<float> quantiles_;
  std::vector<std::uint16_t> half_quantiles_;
};

} // namespace bitnetd::model_tool
