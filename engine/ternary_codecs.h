// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tensor_type.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace bitnetd::engine {

constexpr std::size_t tq_block_elements = 256;

/// Decodes the 256 codes of one block to {-1, 0, +1} (a 2-bit code of 3 becomes 2).
/// TQ2_0: 64 code bytes, then the half scale; first lane in the low bits.
void tq2_0_codes(const std::byte* block, std::int8_t* t) noexcept;
/// TQ1_0: 48 bytes of five base-3 digits, 4 bytes of four, then the half scale; a byte holds
/// ceil(256 v / 243), the first element being the most significant digit.
void tq1_0_codes(const std::byte* block, std::int8_t* t) noexcept;
/// The block's scale.
[[nodiscard]] float tq_scale(tensor_type type, const std::byte* block) noexcept;

/// Decodes row `row` of `rows` of an I2_S tensor of any layout, or of a packed one of Hugging Face
/// (a code of 3 becomes 2).
///   i2_s          groups of 128 values in 32 bytes, four lanes of 32, first lane in the high bits;
///                 the matrix is one row of groups: they run over row ends
///   i2_s_lanes16  the same with groups of 64 in 16 bytes, lanes of 16
///   i2_s_rows4    byte [r / 4][c] holds column c of rows r … r + 3, first row in the high bits
///   hf_packed     byte [r][c] holds column c of rows r, r + R, r + 2R, r + 3R with R = rows / 4,
///   the
///                 first one in the low bits
void tensor_row_codes(tensor_type type, const std::byte* raw, std::uint64_t rows,
                      std::uint64_t cols, std::uint64_t row, std::int8_t* t) noexcept;
/// The scale of such a tensor of `elements` values.
[[nodiscard]] float tensor_scale(const std::byte* raw, std::uint64_t elements) noexcept;

constexpr std::size_t iq_block_elements = 64;

/// Decodes one row of IQ1_BN or IQ2_BN, header included (a 2-bit code of 3 becomes 2).
///   iq2_bn   float scale; blocks of 64 in 16 bytes: four lanes of 16, first lane in the low bits
///   iq1_bn   half scale; blocks of 64 in 13 bytes: each group of 16 is three bytes of five base-3
///            digits, the first element being the *least* significant one; the sixteenth elements
///            of the four groups are the digits of the last byte
void iq_row_codes(tensor_type type, const std::byte* row, std::uint64_t cols,
                  std::int8_t* t) noexcept;
/// That row's scale.
[[nodiscard]] float iq_row_scale(tensor_type type, const std::byte* row) noexcept;

/// Digit n (0 = most significant) of a base-3 byte, by byte: the engine of TQ1_0 and IQ1_BN.
[[nodiscard]] const std::array<std::array<std::int8_t, 5>, 256>& base3_digits() noexcept;

} // namespace bitnetd::engine
