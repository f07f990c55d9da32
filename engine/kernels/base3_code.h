// SPDX-License-Identifier: MIT
#pragma once

// How a byte stands for five ternary weights (base3_layout.h). Included by the files that are
// compiled for one instruction set, too: C headers only.
#include <stddef.h>
#include <stdint.h>

namespace bitnetd::engine {
namespace {

constexpr size_t base3_line_columns = 20;
constexpr unsigned base3_spilled = 192; ///< the least byte of those that are counted on

/// The byte of five codes 0…2: `four` is the number that the first four are in base 3, 0…80.
///
///   four < 64    64 * fifth + four                   two bits for the fifth, six for the others
///   else         192 + 17 * fifth + (four - 64)      what is left of 256, and enough
///
/// So the table of the first four is one of 64 bytes, which is what one permutation looks up.
constexpr unsigned base3_byte(unsigned four, unsigned fifth) {
  return four < 64 ? 64 * fifth + four : base3_spilled + 17 * fifth + four - 64;
}

/// Four codes of base-3 number `four` in two bits each, the first in the lowest.
constexpr unsigned base3_pairs(unsigned four) {
  return four % 3 | four / 3 % 3 << 2 | four / 9 % 3 << 4 | four / 27 % 3 << 6;
}

/// Tables of what a byte means, by its low six bits: of bytes below `base3_spilled`, and of others.
struct base3_tables {
  alignas(64) uint8_t four[64] = {};          ///< the first four codes as base3_pairs
  alignas(64) uint8_t spilled_four[64] = {};  ///< the same of spilled bytes
  alignas(64) uint8_t spilled_fifth[64] = {}; ///< 64 times the fifth code
  constexpr base3_tables() {
    for (unsigned i = 0; i < 64; ++i)
      four[i] = static_cast<uint8_t>(base3_pairs(i));
    for (unsigned i = 0; i < 3 * 17; ++i) {
      spilled_four[i] = static_cast<uint8_t>(base3_pairs(64 + i % 17));
      spilled_fifth[i] = static_cast<uint8_t>(64 * (i / 17));
    }
  }
};
alignas(64) constexpr base3_tables base3_meanings;

/// The first four codes of a byte as base3_pairs, and 64 times the fifth.
constexpr unsigned base3_four(uint8_t byte) {
  return (byte < base3_spilled ? base3_meanings.four : base3_meanings.spilled_four)[byte & 63];
}
constexpr unsigned base3_fifth(uint8_t byte) {
  return byte < base3_spilled ? byte & 192u : base3_meanings.spilled_fifth[byte & 63];
}

} // namespace
} // namespace bitnetd::engine
