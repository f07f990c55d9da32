// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

namespace bitnetd::engine {

/// Philox4x32-10: a counter and a key in, four random words out; nothing is remembered, so draw
/// number n of a seed is the same wherever and whenever it is asked for.
///
/// Source   Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                            std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const auto a = std::uint64_t{0xD2511F53u} * counter[0];
    const auto b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// The draw number `index` of `seed`: uniform in [0, 1), 53 bits.
[[nodiscard]] constexpr double uniform_draw(std::uint64_t seed, std::uint64_t index) {
  const auto words =
      philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0},
             {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const auto bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

} // namespace bitnetd::engine
