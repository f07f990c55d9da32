// SPDX-License-Identifier: MIT
#pragma once

// The integer products of instruction sets with vpdpbusd, written once for vectors of 16 and of 8
// lanes (BITNETD_FLOAT_WIDTH, as in float_lanes.h). A line of a panel is one vector there, two
// here ("strips" of 16 or 8 rows). kernel_functions.h says what each function computes, and
// packed_layout.h what it reads. C headers and intrinsics only.
#include "engine/kernels/float_lanes.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace bitnetd::engine {
namespace {

constexpr size_t line_bytes = 64;
constexpr size_t strip_rows = width;
constexpr size_t strips_per_panel = 16 / width;

#if BITNETD_FLOAT_WIDTH == 16
typedef __m512i vector;
inline vector load_line(const uint8_t* at) { return _mm512_loadu_si512(at); }
inline vector dot(vector sums, vector codes, vector x) {
  return _mm512_dpbusd_epi32(sums, codes, x);
}
inline vector four_everywhere(int32_t four) { return _mm512_set1_epi32(four); }
inline vector bytes_everywhere(unsigned byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
inline vector shift_down(vector v, unsigned bits) { return _mm512_srli_epi16(v, bits); }
inline vector divide(vector sums, unsigned bits) { return _mm512_srai_epi32(sums, bits); }
inline vector load_sums(const int32_t* from) { return _mm512_loadu_si512(from); }
inline void store_some(int32_t* to, vector sums, size_t rows) {
  const auto mask = static_cast<__mmask16>(rows >= 16 ? 0xffffu : (1u << rows) - 1u);
  _mm512_mask_storeu_epi32(to, mask, sums);
}
#else
typedef __m256i vector;
inline vector load_line(const uint8_t* at) { return _mm256_loadu_si256((const __m256i*)at); }
inline vector dot(vector sums, vector codes, vector x) {
  return _mm256_dpbusd_avx_epi32(sums, codes, x);
}
inline vector four_everywhere(int32_t four) { return _mm256_set1_epi32(four); }
inline vector bytes_everywhere(unsigned byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
inline vector shift_down(vector v, unsigned bits) {
  return _mm256_srli_epi16(v, static_cast<int>(bits));
}
inline vector divide(vector sums, unsigned bits) {
  return _mm256_srai_epi32(sums, static_cast<int>(bits));
}
inline vector load_sums(const int32_t* from) { return _mm256_loadu_si256((const __m256i*)from); }
inline void store_some(int32_t* to, vector sums, size_t rows) {
  if (rows >= strip_rows) {
    _mm256_storeu_si256((__m256i*)to, sums);
    return;
  }
  int32_t all[strip_rows];
  _mm256_storeu_si256((__m256i*)all, sums);
  __builtin_memcpy(to, all, rows * sizeof(int32_t));
}
#endif

inline vector four_of(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return four_everywhere(four);
}

/// How codes of `Bits` bits lie in a line. What the products below are told of a layout: another
/// one is base3 in kernels_avx512_gfni.cpp.
template <unsigned Bits> struct packing {
  static constexpr size_t planes = 8 / Bits;                         ///< codes of one byte
  static constexpr size_t columns = 4 * planes;                      ///< of one line
  static constexpr unsigned zero = Bits == 2 ? 1 : 1u << (Bits - 1); ///< the code of weight 0
  static constexpr bool unpacks = Bits < 8; ///< into bytes, for many tokens
  static constexpr size_t lines(size_t cols) { return (cols + 127) / 128 * 128 / columns; }

  /// A line as its planes are taken from it.
  static inline __attribute__((always_inline)) vector decode(vector line) { return line; }
  /// Plane p, its codes where they are: times 2^place(p). Planes in the same place have one sum.
  static constexpr unsigned place(size_t p) { return static_cast<unsigned>(Bits * p); }
  static constexpr size_t places = planes;
  static constexpr size_t sum_of(size_t p) { return p; }
  static inline __attribute__((always_inline)) vector in_place(vector line, size_t p) {
    if constexpr (Bits == 8)
      return line;
    return line & bytes_everywhere(((1u << Bits) - 1) << (Bits * p));
  }
  /// Plane p, its codes moved down to the low bits.
  static inline __attribute__((always_inline)) vector moved(vector line, size_t p) {
    if constexpr (Bits == 8)
      return line;
    const vector down = p == 0 ? line : shift_down(line, static_cast<unsigned>(Bits * p));
    return down & bytes_everywhere((1u << Bits) - 1);
  }
};

inline vector off(vector sums, unsigned zero, int32_t x_sum) {
  return (vector)((ints)sums - (ints)four_everywhere(static_cast<int32_t>(zero) * x_sum));
}

/// One token and `Panels` neighbouring panels: a core waits less for memory that it reads in
/// several streams than in one, and a group of four activations is loaded once for all of them.
/// Codes are not moved down: every plane has its own sums, divided once at the end (exact: every
/// term is a multiple).
///
/// A lane grows by less than 4 * 255 * 128 < 2^17 per line and plane, so 2^12 lines stay below
/// 2^30 even where two planes share it; then the sums are divided and start anew. vpdpbusd is
/// unsigned times signed and does not saturate.
template <class In, size_t Panels>
inline void panels_one_token(const uint8_t* panels, size_t lines, const int8_t* x, int32_t x_sum,
                             int32_t* acc, size_t rows) {
  constexpr size_t most_lines = size_t{1} << 12;
  constexpr size_t strips = Panels * strips_per_panel;
  // Eight chains hide the instruction's latency.
  constexpr size_t at_once = 8 / (In::planes * strips) > 0 ? 8 / (In::planes * strips) : 1;
  const size_t panel_bytes = lines * line_bytes;
  // One stream: ahead of where the hardware stops, at page borders. Several: the next panels.
  const size_t prefetch_bytes = Panels == 1 ? 8192 : Panels * panel_bytes;
  vector total[strips] = {};
  for (size_t l = 0; l < lines;) {
    const size_t end = lines - l < most_lines ? lines : l + most_lines;
    vector sums[at_once][strips][In::places] = {};
    for (; l < end; l += at_once)
      for (size_t i = 0; i < at_once; ++i) {
        vector fours[In::planes];
        for (size_t p = 0; p < In::planes; ++p)
          fours[p] = four_of(x + In::columns * (l + i) + 4 * p);
        for (size_t s = 0; s < strips; ++s) {
          const uint8_t* at = panels + s / strips_per_panel * panel_bytes + (l + i) * line_bytes +
                              s % strips_per_panel * 4 * strip_rows;
          if (s % strips_per_panel == 0)
            _mm_prefetch((const char*)(at + prefetch_bytes), _MM_HINT_T0);
          const auto line = In::decode(load_line(at));
          for (size_t p = 0; p < In::planes; ++p) {
            vector& sum = sums[i][s][In::sum_of(p)];
            sum = dot(sum, In::in_place(line, p), fours[p]);
          }
        }
      }
    for (size_t s = 0; s < strips; ++s)
      for (size_t p = 0; p < In::places; ++p) {
        ints all = {};
        for (size_t i = 0; i < at_once; ++i)
          all += (ints)sums[i][s][p];
        total[s] = (vector)((ints)total[s] + (ints)divide((vector)all, In::place(p)));
      }
  }
  for (size_t s = 0; s < strips && strip_rows * s < rows; ++s)
    store_some(acc + strip_rows * s, off(total[s], In::zero, x_sum), rows - strip_rows * s);
}

/// `Strips` neighbouring strips against `Tokens` tokens: a line is unpacked once for all tokens, a
/// group of four activations loaded once for all strips. Meanwhile the next panels come into the
/// second-level cache. Sums of code * x may wrap; taking off the sum of x wraps them back.
template <class In, size_t Strips, size_t Tokens>
inline void strips_tokens(const uint8_t* panels, size_t lines, size_t rows, const int8_t* x,
                          size_t x_stride, const int32_t* x_sums, int32_t* acc, size_t acc_stride) {
  const size_t panel_bytes = lines * line_bytes;
  vector sums[Strips][Tokens] = {};
  decltype(In::decode(vector{})) decoded[Strips];
  const auto decode = [&](size_t l) {
    for (size_t s = 0; s < Strips; ++s) {
      const uint8_t* at = panels + s / strips_per_panel * panel_bytes + l * line_bytes +
                          s % strips_per_panel * 4 * strip_rows;
      if (s % strips_per_panel == 0)
        _mm_prefetch((const char*)(at + Strips / strips_per_panel * panel_bytes), _MM_HINT_T1);
      decoded[s] = In::decode(load_line(at));
    }
  };
  decode(0);
  for (size_t l = 0; l < lines; ++l) {
    vector planes[Strips][In::planes];
    for (size_t s = 0; s < Strips; ++s)
      for (size_t p = 0; p < In::planes; ++p)
        planes[s][p] = In::moved(decoded[s], p);
    decode(l + 1 < lines ? l + 1 : l);
    for (size_t p = 0; p < In::planes; ++p)
      for (size_t t = 0; t < Tokens; ++t) {
        const vector four = four_of(x + t * x_stride + In::columns * l + 4 * p);
        for (size_t s = 0; s < Strips; ++s)
          sums[s][t] = dot(sums[s][t], planes[s][p], four);
      }
  }
  for (size_t s = 0; s < Strips && strip_rows * s < rows; ++s)
    for (size_t t = 0; t < Tokens; ++t)
      store_some(acc + t * acc_stride + strip_rows * s, off(sums[s][t], In::zero, x_sums[t]),
                 rows - strip_rows * s);
}

/// All tokens of `Strips` strips, as many at a time as there are registers for.
template <class In, size_t Strips>
inline void strips_all(const uint8_t* panels, size_t lines, size_t rows, const int8_t* x,
                       size_t x_stride, const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                       size_t acc_stride) {
  size_t n = 0;
  const auto some = [&]<size_t Tokens>() {
    strips_tokens<In, Strips, Tokens>(panels, lines, rows, x + n * x_stride, x_stride, x_sums + n,
                                      acc + n * acc_stride, acc_stride);
    n += Tokens;
  };
#if BITNETD_FLOAT_WIDTH == 16 // 2 x 8 sums and 8 planes of 32 registers
  while (n_tokens - n >= 8)
    some.template operator()<8>();
#endif
  while (n_tokens - n >= 4)
    some.template operator()<4>();
  if (n_tokens - n >= 2)
    some.template operator()<2>();
  if (n_tokens - n >= 1)
    some.template operator()<1>();
}

/// Many tokens: codes are unpacked once for all of them, into a buffer of bytes that stays in the
/// first-level cache together with the activations of one tile of tokens. What is left in the inner
/// loop is a load of codes per strip, one of four activations per token, and products.
constexpr size_t unpacked_columns = 512;
/// From this number of tokens on unpacking first is faster (measured with 16 to 128).
constexpr size_t worth_unpacking = 24;

struct alignas(64) unpacked_block {
  uint8_t codes[unpacked_columns / 4][2 * strip_rows * 4]; ///< of two strips, four columns a line
};

/// Unpacks lines [from, to) of the panels of two neighbouring strips; meanwhile the next two strips
/// come into the second-level cache. Groups of columns are filled up to a multiple of four.
template <class In>
inline void unpack(const uint8_t* panels, size_t panel_bytes, size_t from, size_t to,
                   unpacked_block& out) {
  for (size_t l = from; l < to; ++l)
    for (size_t s = 0; s < 2; ++s) {
      const auto line =
          In::decode(load_line(panels + s / strips_per_panel * panel_bytes + l * line_bytes +
                               s % strips_per_panel * 4 * strip_rows));
      if (s % strips_per_panel == 0)
        _mm_prefetch(
            (const char*)(panels + (2 + s) / strips_per_panel * panel_bytes + l * line_bytes),
            _MM_HINT_T1);
      for (size_t p = 0; p < In::planes; ++p)
        store(out.codes[(l - from) * In::planes + p] + s * 4 * strip_rows, In::moved(line, p));
    }
  for (size_t i = (to - from) * In::planes; i % 4 != 0; ++i)
    for (size_t s = 0; s < 2; ++s)
      store(out.codes[i] + s * 4 * strip_rows, vector{});
}

/// Adds `n` groups of four columns of two strips to the sums of `Tokens` tokens. The sums of the
/// first block begin at nothing; after the last one the code of zero is taken off.
template <class In, size_t Tokens>
inline void unpacked_tile(const unpacked_block& block, size_t n, size_t rows, const int8_t* x,
                          size_t x_stride, const int32_t* x_sums, bool first, bool last,
                          int32_t* acc, size_t acc_stride) {
  vector sums[2][Tokens] = {};
  if (!first)
    for (size_t s = 0; s < 2; ++s)
      for (size_t t = 0; t < Tokens; ++t)
        sums[s][t] = load_sums(acc + t * acc_stride + strip_rows * s);
  for (size_t i = 0; i < n; i += 4)
    for (size_t j = 0; j < 4; ++j) { // four to a turn: the addresses are computed once for them
      const uint8_t* at = block.codes[i + j];
      const vector codes[2] = {load_line(at), load_line(at + 4 * strip_rows)};
      for (size_t t = 0; t < Tokens; ++t) {
        const vector four = four_of(x + t * x_stride + 4 * i + 4 * j);
        for (size_t s = 0; s < 2; ++s)
          sums[s][t] = dot(sums[s][t], codes[s], four);
      }
    }
  for (size_t s = 0; s < 2; ++s)
    for (size_t t = 0; t < Tokens; ++t)
      store_some(acc + t * acc_stride + strip_rows * s,
                 last ? off(sums[s][t], In::zero, x_sums[t]) : sums[s][t], rows - strip_rows * s);
}

/// Two whole strips against all tokens, block of columns by block.
template <class In>
inline void strips_unpacked(const uint8_t* panels, size_t lines, const int8_t* x, size_t x_stride,
                            const int32_t* x_sums, size_t n_tokens, int32_t* acc,
                            size_t acc_stride) {
  constexpr size_t at_once = width == 16 ? 8 : 4;
  constexpr size_t block_lines = unpacked_columns / In::columns / 4 * 4;
  unpacked_block block;
  for (size_t from = 0; from < lines; from += block_lines) {
    const size_t to = from + block_lines < lines ? from + block_lines : lines;
    unpack<In>(panels, lines * line_bytes, from, to, block);
    const int8_t* columns = x + from * In::columns;
    const size_t n_groups = (to - from) * In::planes;
    size_t n = 0;
    const auto tile = [&]<size_t Tokens>() {
      unpacked_tile<In, Tokens>(block, n_groups, 2 * strip_rows, columns + n * x_stride, x_stride,
                                x_sums + n, from == 0, to == lines, acc + n * acc_stride,
                                acc_stride);
      n += Tokens;
    };
    while (n_tokens - n >= at_once)
      tile.template operator()<at_once>();
    while (n_tokens - n >= 1)
      tile.template operator()<1>();
  }
}

template <class In>
void gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
          const int32_t* x_sums, size_t n_tokens, int32_t* acc, size_t acc_stride) noexcept {
  const size_t lines = In::lines(cols);
  const size_t panel_bytes = lines * line_bytes;
  constexpr size_t panels_at_once = 2 / strips_per_panel; // two strips
  size_t r = 0;
  if (n_tokens == 1) {
    constexpr size_t streams = width == 16 ? 4 : 1; // 256-bit vectors: no registers for more
    if constexpr (streams > 1)
      for (; r + 16 * (streams - 1) < rows; r += 16 * streams, panels += streams * panel_bytes)
        panels_one_token<In, streams>(panels, lines, x, x_sums[0], acc + r, rows - r);
    for (; r < rows; r += 16, panels += panel_bytes)
      panels_one_token<In, 1>(panels, lines, x, x_sums[0], acc + r, rows - r);
    return;
  }
  if constexpr (In::unpacks)
    for (; n_tokens >= worth_unpacking && r + 16 * panels_at_once <= rows;
         r += 16 * panels_at_once, panels += panels_at_once * panel_bytes)
      strips_unpacked<In>(panels, lines, x, x_stride, x_sums, n_tokens, acc + r, acc_stride);
  for (; r + 16 * (panels_at_once - 1) < rows;
       r += 16 * panels_at_once, panels += panels_at_once * panel_bytes)
    strips_all<In, 2>(panels, lines, rows - r, x, x_stride, x_sums, n_tokens, acc + r, acc_stride);
  if (r < rows)
    strips_all<In, strips_per_panel>(panels, lines, rows - r, x, x_stride, x_sums, n_tokens,
                                     acc + r, acc_stride);
}

template <unsigned Bits>
void packed_gemm(const uint8_t* panels, size_t rows, size_t cols, const int8_t* x, size_t x_stride,
                 const int32_t* x_sums, size_t n_tokens, int32_t* acc, size_t acc_stride) noexcept {
  gemm<packing<Bits>>(panels, rows, cols, x, x_stride, x_sums, n_tokens, acc, acc_stride);
}

} // namespace
} // namespace bitnetd::engine
