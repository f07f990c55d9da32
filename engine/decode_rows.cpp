// SPDX-License-Identifier: MIT
#include "engine/ternary_codecs.h"
#include "engine/unaligned.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <vector>

namespace bitnetd::engine {

namespace {

float half_at(const std::byte* at) noexcept {
  return half_to_float(load_unaligned<std::uint16_t>(at));
}

float signed_byte_at(const std::byte* at) noexcept {
  return static_cast<float>(load_unaligned<std::int8_t>(at));
}

/// 32 values: half d, 16 bytes of nibbles; the low nibbles are the first 16 values.
void q4_0_block(const std::byte* block, float* x) noexcept {
  const float d = half_at(block);
  for (std::size_t j = 0; j < 16; ++j) {
    const int b = static_cast<int>(byte_at(block + 2 + j));
    x[j] = d * static_cast<float>((b & 15) - 8);
    x[j + 16] = d * static_cast<float>((b >> 4) - 8);
  }
}

/// As Q4_0, but a nibble is an index of this table.
void iq4_nl_block(const std::byte* block, float* x) noexcept {
  constexpr std::int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
  const float d = half_at(block);
  for (std::size_t j = 0; j < 16; ++j) {
    const unsigned b = byte_at(block + 2 + j);
    x[j] = d * static_cast<float>(values[b & 15u]);
    x[j + 16] = d * static_cast<float>(values[b >> 4]);
  }
}

/// 64 values: half d, 16 bytes of four 2-bit codes, lowest first; x = d * (code - 1), and a code of
/// 3 is a legal +2.
void q2_0_block(const std::byte* block, float* x) noexcept {
  const float d = half_at(block);
  for (std::size_t j = 0; j < 64; ++j)
    x[j] = d * static_cast<float>(
                   static_cast<int>((byte_at(block + 2 + j / 4) >> (2 * (j % 4))) & 3u) - 1);
}

/// 32 values: half d, 32 signed bytes.
void q8_0_block(const std::byte* block, float* x) noexcept {
  const float d = half_at(block);
  for (std::size_t j = 0; j < 32; ++j)
    x[j] = d * signed_byte_at(block + 2 + j);
}

/// 256 values in eight sub-blocks: half d, half dmin, twelve bytes with eight 6-bit scales and
/// eight 6-bit minima, 128 bytes of nibbles. x = d * scale * nibble - dmin * minimum.
void q4_k_block(const std::byte* block, float* x) noexcept {
  const float d = half_at(block), d_min = half_at(block + 2);
  const std::byte* s = block + 4;
  const std::byte* nibbles = block + 16;
  for (std::size_t j = 0; j < 8; ++j) {
    unsigned scale = byte_at(s + j) & 63u, minimum = byte_at(s + (j + 4) % 12) & 63u;
    if (j >= 4) { // the upper two bits stand above the 6-bit fields of the first four
      scale = (byte_at(s + j + 4) & 15u) | ((byte_at(s + j - 4) >> 6) << 4);
      minimum = (byte_at(s + j + 4) >> 4) | ((byte_at(s + j) >> 6) << 4);
    }
    const float factor = d * static_cast<float>(scale);
    const float offset = d_min * static_cast<float>(minimum);
    const unsigned shift = 4 * (j % 2);
    for (std::size_t m = 0; m < 32; ++m)
      x[32 * j + m] =
          factor * static_cast<float>((byte_at(nibbles + 32 * (j / 2) + m) >> shift) & 15u) -
          offset;
  }
}

/// 256 values: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, half d at
/// the end. Quarter k of a half takes nibble k / 2 of byte l + 32 (k % 2) and bit pair k of byte l.
void q6_k_block(const std::byte* block, float* x) noexcept {
  const float d = half_at(block + 208);
  for (std::size_t half = 0; half < 2; ++half) {
    const std::byte* low = block + 64 * half;
    const std::byte* high = block + 128 + 32 * half;
    const std::byte* scales = block + 192 + 8 * half;
    for (std::size_t k = 0; k < 4; ++k)
      for (std::size_t l = 0; l < 32; ++l) {
        const unsigned nibble = (byte_at(low + l + 32 * (k % 2)) >> (4 * (k / 2))) & 15u;
        const unsigned pair = (byte_at(high + l) >> (2 * k)) & 3u;
        const int q = static_cast<int>(nibble | (pair << 4)) - 32;
        x[128 * half + 32 * k + l] =
            d * signed_byte_at(scales + 2 * k + l / 16) * static_cast<float>(q);
      }
  }
}

void tq_block(tensor_type type, const std::byte* block, float* x) noexcept {
  std::array<std::int8_t, tq_block_elements> t;
  if (type == tensor_type::tq1_0)
    tq1_0_codes(block, t.data());
  else
    tq2_0_codes(block, t.data());
  const float d = tq_scale(type, block);
  for (std::size_t j = 0; j < t.size(); ++j)
    x[j] = d * static_cast<float>(t[j]);
}

void decode_block(tensor_type type, const std::byte* block, float* x) noexcept {
  switch (type) {
  case tensor_type::q4_0:
    return q4_0_block(block, x);
  case tensor_type::iq4_nl:
    return iq4_nl_block(block, x);
  case tensor_type::q2_0:
    return q2_0_block(block, x);
  case tensor_type::q8_0:
    return q8_0_block(block, x);
  case tensor_type::q4_k:
    return q4_k_block(block, x);
  case tensor_type::q6_k:
    return q6_k_block(block, x);
  case tensor_type::tq1_0:
  case tensor_type::tq2_0:
    return tq_block(type, block, x);
  case tensor_type::f32:
  case tensor_type::f16:
  case tensor_type::bf16:
  case tensor_type::i2_s:
  case tensor_type::i2_s_lanes16:
  case tensor_type::i2_s_rows4:
  case tensor_type::hf_packed:
  case tensor_type::iq1_bn:
  case tensor_type::iq2_bn:
    break; // no blocks of their own scale: decode_rows handles them
  }
}

/// Types whose scale is the row's or the tensor's.
void decode_ternary_rows(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                         std::uint64_t cols, std::uint64_t first_row, std::uint64_t n_rows,
                         float* out) {
  const bool whole = info(type).has_tensor_scale();
  const std::uint64_t row_bytes = raw.size() / rows; // of IQ types
  std::vector<std::int8_t> t(cols);
  for (std::uint64_t r = first_row; r < first_row + n_rows; ++r, out += cols) {
    const auto* row = raw.data() + r * row_bytes;
    whole ? tensor_row_codes(type, raw.data(), rows, cols, r, t.data())
          : iq_row_codes(type, row, cols, t.data());
    const float scale = whole ? tensor_scale(raw.data(), rows * cols) : iq_row_scale(type, row);
    for (std::uint64_t c = 0; c < cols; ++c)
      out[c] = scale * static_cast<float>(t[c]);
  }
}

} // namespace

void decode_rows(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                 std::uint64_t cols, std::uint64_t first_row, std::uint64_t n_rows, float* out) {
  assert(raw.size() == tensor_bytes(type, rows, cols));
  assert(first_row <= rows && n_rows <= rows - first_row);
  const std::uint64_t first = first_row * cols, count = n_rows * cols;
  const std::byte* at = raw.data();
  switch (type) {
  case tensor_type::f32:
    std::memcpy(out, at + 4 * first, 4 * count);
    return;
  case tensor_type::f16:
    for (std::uint64_t j = 0; j < count; ++j)
      out[j] = half_at(at + 2 * (first + j));
    return;
  case tensor_type::bf16: // the upper half of a float
    for (std::uint64_t j = 0; j < count; ++j)
      out[j] = std::bit_cast<float>(
          static_cast<std::uint32_t>(load_unaligned<std::uint16_t>(at + 2 * (first + j))) << 16);
    return;
  case tensor_type::i2_s:
  case tensor_type::i2_s_lanes16:
  case tensor_type::i2_s_rows4:
  case tensor_type::hf_packed:
  case tensor_type::iq1_bn:
  case tensor_type::iq2_bn:
    return decode_ternary_rows(type, raw, rows, cols, first_row, n_rows, out);
  default:
    break;
  }
  const auto& layout = info(type);
  at += first / layout.block_elements * layout.block_bytes;
  for (std::uint64_t j = 0; j < count; j += layout.block_elements, at += layout.block_bytes)
    decode_block(type, at, out + j);
}

} // namespace bitnetd::engine
