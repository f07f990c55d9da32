// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tensor_type.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// The factor of every row of a ternary tensor as stored, without looking at its codes.
///
/// Shapes   row_scales [rows].
/// Requires raw.size() == tensor_bytes(type, rows, cols): asserted.
/// Errors   those of decode_ternary but code_three.
[[nodiscard]] ternary_error ternary_scales(tensor_type type, std::span<const std::byte> raw,
                                           std::uint64_t rows, std::uint64_t cols,
                                           std::span<float> row_scales);

/// What is learned of a matrix while it is repacked.
struct repacked {
  std::uint64_t zeros = 0;    ///< codes that are 0
  std::uint64_t checksum = 0; ///< sum of its rows' row_checksum, modulo 2^64
};

/// Moves the codes of a ternary tensor from the file's layout to that of ternary_layout.h, whole
/// words at a time where columns fill the file's groups: what decode_ternary and pack_ternary do by
/// way of single codes, 20 times as fast.
///
/// Shapes   packed: packed_bytes(rows, cols).
/// Requires no code of 3 (check_payload), and no mixed scales: a block whose factor is 0 is zeros.
[[nodiscard]] repacked repack_ternary(tensor_type type, std::span<const std::byte> raw,
                                      std::uint64_t rows, std::uint64_t cols,
                                      std::span<std::byte> packed);

} // namespace bitnetd::engine
