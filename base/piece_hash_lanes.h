// SPDX-License-Identifier: MIT
#pragma once

// BLAKE2b-512 (RFC 7693, without a key) of several pieces at once, a piece to a lane of a vector of
// BITNETD_HASH_LANES 64-bit words (the including file says how many). C headers and intrinsics
// only.
#include "base/piece_hash_functions.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace bitnetd {
namespace {

typedef uint64_t hash_words __attribute__((vector_size(8 * BITNETD_HASH_LANES)));
constexpr size_t hash_lanes = BITNETD_HASH_LANES, hash_block = 128;

constexpr uint64_t hash_start[8] = {0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu,
                                    0xa54ff53a5f1d36f1u, 0x510e527fade682d1u, 0x9b05688c2b3e6c1fu,
                                    0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u};
constexpr unsigned char hash_order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

template <int By> inline __attribute__((always_inline)) hash_words turned(hash_words v) {
#if BITNETD_HASH_LANES == 8
  return (hash_words)_mm512_ror_epi64((__m512i)v, By);
#else
  return v >> By | v << (64 - By);
#endif
}

inline __attribute__((always_inline)) void mix(hash_words* v, size_t a, size_t b, size_t c,
                                               size_t d, hash_words x, hash_words y) {
  v[a] += v[b] + x;
  v[d] = turned<32>(v[d] ^ v[a]);
  v[c] += v[d];
  v[b] = turned<24>(v[b] ^ v[c]);
  v[a] += v[b] + y;
  v[d] = turned<16>(v[d] ^ v[a]);
  v[c] += v[d];
  v[b] = turned<63>(v[b] ^ v[c]);
}

/// Words of the block of every lane, word by word: a transposition.
inline __attribute__((always_inline)) void load_blocks(const uint8_t* data, size_t stride,
                                                       hash_words* m) {
  constexpr size_t n = hash_lanes;
  for (size_t from = 0; from < 16; from += n) {
    hash_words rows[n];
    for (size_t lane = 0; lane < n; ++lane)
      __builtin_memcpy(&rows[lane], data + lane * stride + from * sizeof(uint64_t),
                       sizeof rows[lane]);
    for (size_t word = 0; word < n; ++word)
      for (size_t lane = 0; lane < n; ++lane)
        m[from + word][lane] = rows[lane][word];
  }
}

/// One block of every lane; `bytes`: of a lane up to its end.
inline void add_blocks(hash_words* h, const hash_words* m, uint64_t bytes, bool last) {
  hash_words v[16];
  for (size_t i = 0; i < 8; ++i) {
    v[i] = h[i];
    v[i + 8] = hash_words{} + hash_start[i];
  }
  v[12] ^= bytes;
  if (last)
    v[14] = ~v[14];
#pragma GCC unroll 12
  for (size_t round = 0; round < 12; ++round) {
    const unsigned char* s = hash_order[round % 10];
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
  }
  for (size_t i = 0; i < 8; ++i)
    h[i] ^= v[i] ^ v[i + 8];
}

/// One piece for every lane (piece_hash_functions.h).
inline __attribute__((always_inline)) void hash_pieces(const uint8_t* data, size_t piece_bytes,
                                                       uint8_t* out) {
  hash_words h[8], m[16];
  for (size_t i = 0; i < 8; ++i)
    h[i] = hash_words{} + hash_start[i];
  h[0] ^= 0x01010040u; // 64 bytes of result, no key, no tree
  for (size_t at = 0; at < piece_bytes; at += hash_block) {
    load_blocks(data + at, piece_bytes, m);
    add_blocks(h, m, at + hash_block, at + hash_block == piece_bytes);
  }
  for (size_t lane = 0; lane < hash_lanes; ++lane, out += 16) {
    const uint64_t result[2] = {h[0][lane], h[1][lane]};
    __builtin_memcpy(out, result, sizeof result);
  }
}

} // namespace
} // namespace bitnetd
