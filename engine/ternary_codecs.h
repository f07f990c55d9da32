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

/// Decodes `count` I2_S codes from element `first` on (a code of 3 becomes 2): groups of 128 values
/// in 32 bytes, lanes of 32, first lane in the high bits; groups run over row ends.
void i2s_codes(const std::byte* raw, std::uint64_t first, std::uint64_t count,
               std::int8_t* t) noexcept;
/// The scale of an I2_S tensor of `elements` values.
[[nodiscard]] float i2s_scale(const std::byte* raw, std::uint64_t elements) noexcept;

/// Digit n (0 = most significant) of a base-3 byte, by byte: the engine of TQ1_0.
[[nodiscard]] const std::array<std::array<std::int8_t, 5>, 256>& base3_digits() noexcept;

} // namespace bitnetd::engine
