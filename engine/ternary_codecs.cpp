// SPDX-License-Identifier: MIT
#include "engine/ternary_codecs.h"

#include "engine/unaligned.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace bitnetd::engine {

namespace {

constexpr auto make_base3_digits() {
  std::array<std::array<std::int8_t, 5>, 256> digits{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned power = 1; // 3^n shifts the n-th digit to the front of the fraction byte / 256
    for (auto& digit : digits[byte]) {
      digit = static_cast<std::int8_t>(static_cast<int>((((byte * power) & 255u) * 3u) >> 8) - 1);
      power *= 3;
    }
  }
  return digits;
}
constexpr auto digits_of_byte = make_base3_digits();

/// One row of a TQ tensor: codes, and the one scale that its nonzero blocks share.
ternary_error decode_tq_row(tensor_type type, const std::byte* block, std::uint64_t n_blocks,
                            std::int8_t* t, float& scale) {
  const auto block_bytes = info(type).block_bytes;
  scale = 0;
  for (std::uint64_t b = 0; b < n_blocks; ++b, block += block_bytes, t += tq_block_elements) {
    if (type == tensor_type::tq2_0)
      tq2_0_codes(block, t);
    else
      tq1_0_codes(block, t);
    if (type == tensor_type::tq2_0 && *std::max_element(t, t + tq_block_elements) > 1)
      return ternary_error::code_three;
    const float d = tq_scale(type, block);
    if (!std::isfinite(d))
      return ternary_error::scale_not_finite;
    if (d == 0) // a block of zeros, whatever its codes say
      std::fill_n(t, tq_block_elements, std::int8_t{0});
    else if (scale == 0)
      scale = d;
    else if (scale != d)
      return ternary_error::mixed_scales;
  }
  return ternary_error::no_error;
}

} // namespace

const std::array<std::array<std::int8_t, 5>, 256>& base3_digits() noexcept {
  return digits_of_byte;
}

void tq2_0_codes(const std::byte* block, std::int8_t* t) noexcept {
  for (std::size_t half = 0; half < 2; ++half)
    for (unsigned lane = 0; lane < 4; ++lane)
      for (std::size_t m = 0; m < 32; ++m)
        t[128 * half + 32 * lane + m] = static_cast<std::int8_t>(
            static_cast<int>((byte_at(block + 32 * half + m) >> (2 * lane)) & 3u) - 1);
}

void tq1_0_codes(const std::byte* block, std::int8_t* t) noexcept {
  const auto spread = [&](std::size_t from, std::size_t width, std::size_t n_digits,
                          std::int8_t* out) {
    for (std::size_t m = 0; m < width; ++m) {
      const auto& digits = digits_of_byte[byte_at(block + from + m)];
      for (std::size_t n = 0; n < n_digits; ++n)
        out[width * n + m] = digits[n];
    }
  };
  spread(0, 32, 5, t);
  spread(32, 16, 5, t + 160);
  spread(48, 4, 4, t + 240);
}

float tq_scale(tensor_type type, const std::byte* block) noexcept {
  return half_to_float(load_unaligned<std::uint16_t>(block + info(type).block_bytes - 2));
}

namespace {

std::int8_t two_bit_code(const std::byte* at, unsigned shift) noexcept {
  return static_cast<std::int8_t>(static_cast<int>((byte_at(at) >> shift) & 3u) - 1);
}

/// `count` codes from element `first` on, in lanes of 32 or 16.
template <std::uint64_t lane>
void i2s_lanes(const std::byte* raw, std::uint64_t first, std::uint64_t count,
               std::int8_t* t) noexcept {
  while (count > 0) { // one lane, or what of it is asked for, at a time
    const std::uint64_t in_group = first % (4 * lane), in_lane = first % lane;
    const std::byte* bytes = raw + first / (4 * lane) * lane + in_lane;
    const unsigned shift = 6 - 2 * static_cast<unsigned>(in_group / lane);
    const std::uint64_t n = std::min<std::uint64_t>(lane - in_lane, count);
    for (std::uint64_t m = 0; m < n; ++m)
      t[m] = two_bit_code(bytes + m, shift);
    first += n;
    count -= n;
    t += n;
  }
}

void iq2_bn_block(const std::byte* block, std::int8_t* t) noexcept {
  for (unsigned lane = 0; lane < 4; ++lane)
    for (std::size_t j = 0; j < 16; ++j)
      t[16 * lane + j] = two_bit_code(block + j, 2 * lane);
}

void iq1_bn_block(const std::byte* block, std::int8_t* t) noexcept {
  for (std::size_t group = 0; group < 4; ++group, t += 16) {
    for (std::size_t j = 0; j < 15; ++j)
      t[j] = digits_of_byte[byte_at(block + 3 * group + j / 5)][4 - j % 5];
    t[15] = digits_of_byte[byte_at(block + 12)][4 - group];
  }
}

/// The codes of a whole tensor and its one scale.
ternary_error decode_tensor(tensor_type type, const std::byte* raw, std::uint64_t rows,
                            std::uint64_t cols, std::int8_t* t, float* row_scales) {
  const float scale = tensor_scale(raw, rows * cols);
  if (!std::isfinite(scale))
    return ternary_error::scale_not_finite;
  for (std::uint64_t r = 0; r < rows; ++r, t += cols) { // so that the check finds it in cache
    tensor_row_codes(type, raw, rows, cols, r, t);
    if (*std::max_element(t, t + cols) > 1)
      return ternary_error::code_three;
  }
  std::fill_n(row_scales, rows, scale);
  return ternary_error::no_error;
}

ternary_error decode_iq_row(tensor_type type, const std::byte* row, std::uint64_t cols,
                            std::int8_t* t, float& scale) {
  scale = iq_row_scale(type, row);
  if (!std::isfinite(scale))
    return ternary_error::scale_not_finite;
  iq_row_codes(type, row, cols, t);
  return *std::max_element(t, t + cols) > 1 ? ternary_error::code_three : ternary_error::no_error;
}

} // namespace

void tensor_row_codes(tensor_type type, const std::byte* raw, std::uint64_t rows,
                      std::uint64_t cols, std::uint64_t row, std::int8_t* t) noexcept {
  if (type == tensor_type::i2_s)
    return i2s_lanes<32>(raw, row * cols, cols, t);
  if (type == tensor_type::i2_s_lanes16)
    return i2s_lanes<16>(raw, row * cols, cols, t);
  const bool quarters = type == tensor_type::hf_packed;
  const auto packed_row = quarters ? row % (rows / 4) : row / 4;
  const auto lane = static_cast<unsigned>(quarters ? row / (rows / 4) : 3 - row % 4);
  for (std::uint64_t c = 0; c < cols; ++c)
    t[c] = two_bit_code(raw + packed_row * cols + c, 2 * lane);
}

void iq_row_codes(tensor_type type, const std::byte* row, std::uint64_t cols,
                  std::int8_t* t) noexcept {
  const auto& layout = info(type);
  row += layout.row_bytes;
  for (std::uint64_t c = 0; c < cols; c += iq_block_elements, row += layout.block_bytes)
    type == tensor_type::iq2_bn ? iq2_bn_block(row, t + c) : iq1_bn_block(row, t + c);
}

float iq_row_scale(tensor_type type, const std::byte* row) noexcept {
  return type == tensor_type::iq2_bn ? load_unaligned<float>(row)
                                     : half_to_float(load_unaligned<std::uint16_t>(row));
}

float tensor_scale(const std::byte* raw, std::uint64_t elements) noexcept {
  return load_unaligned<float>(raw + elements / 4);
}

ternary_error decode_ternary(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                             std::uint64_t cols, std::int8_t* t, float* row_scales) {
  assert(raw.size() == tensor_bytes(type, rows, cols));
  assert(info(type).ternary);
  if (info(type).has_tensor_scale())
    return decode_tensor(type, raw.data(), rows, cols, t, row_scales);
  const bool tq = type == tensor_type::tq1_0 || type == tensor_type::tq2_0;
  const std::uint64_t row_bytes = raw.size() / rows;
  for (std::uint64_t r = 0; r < rows; ++r) {
    const auto* row = raw.data() + r * row_bytes;
    const auto error =
        tq ? decode_tq_row(type, row, cols / tq_block_elements, t + r * cols, row_scales[r])
           : decode_iq_row(type, row, cols, t + r * cols, row_scales[r]);
    if (error != ternary_error::no_error)
      return error;
  }
  return ternary_error::no_error;
}

} // namespace bitnetd::engine
