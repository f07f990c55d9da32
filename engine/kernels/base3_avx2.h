// SPDX-License-Identifier: MIT
#pragma once

// base3_blocks.h for the instruction sets that have AVX2, but no permutation of 64 bytes.
#include "engine/kernels/base3_blocks.h"

#include <immintrin.h>

namespace bitnetd::engine {
namespace {

inline __m256i base3_bytes(unsigned byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }

/// v modulo n, where v < 2n. A difference below nothing is a large number.
inline __m256i base3_at_most_once(__m256i v, unsigned n) {
  return _mm256_min_epu8(v, _mm256_sub_epi8(v, base3_bytes(n)));
}

/// base3_pairs of numbers 0…95, looked up in six tables of 16 bytes. The first look-up takes the
/// low four bits; each further one, of a number less 16, gives 0 while that is negative and else
/// what its table differs by from the one before.
inline __m256i base3_pairs_of(__m256i number) {
  struct differences {
    alignas(16) uint8_t bytes[6][16] = {};
    constexpr differences() {
      for (unsigned i = 0; i < 96; ++i)
        bytes[i / 16][i % 16] =
            static_cast<uint8_t>(base3_pairs(i) ^ (i < 16 ? 0 : base3_pairs(i - 16)));
    }
  };
  static constexpr differences tables;
  __m256i pairs = _mm256_setzero_si256();
  for (size_t i = 0; i < 6; ++i) {
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)tables.bytes[i]));
    pairs = _mm256_xor_si256(pairs, _mm256_shuffle_epi8(table, number));
    number = _mm256_sub_epi8(number, base3_bytes(16));
  }
  return pairs;
}

inline void base3_split(const uint8_t* line, uint8_t* pairs, uint8_t* fifths) {
  const __m256i top = base3_bytes(base3_spilled);
  for (size_t i = 0; i < 64; i += 32) {
    const __m256i bytes = _mm256_loadu_si256((const __m256i*)(line + i));
    const __m256i low = _mm256_andnot_si256(top, bytes), high = _mm256_and_si256(top, bytes);
    const __m256i spilled = _mm256_cmpeq_epi8(high, top);
    const __m256i rest = base3_at_most_once(base3_at_most_once(low, 17), 17);
    const __m256i number = _mm256_blendv_epi8(low, _mm256_or_si256(rest, base3_bytes(64)), spilled);
    // Of spilled bytes 17 times the fifth code are left; times 4, its high bits are 64 times it.
    const __m256i fifth = _mm256_slli_epi16(_mm256_sub_epi8(low, rest), 2);
    _mm256_store_si256((__m256i*)(pairs + i), base3_pairs_of(number));
    _mm256_store_si256((__m256i*)(fifths + i),
                       _mm256_blendv_epi8(high, _mm256_and_si256(fifth, top), spilled));
  }
}

} // namespace
} // namespace bitnetd::engine
