// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/ternary_layout.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// A denser layout of a ternary matrix: five weights to a byte, 1.6 bits each, a fifth less to read
/// than in ternary_layout.h, in its spirit. Sixteen rows make a panel, a panel is a sequence of
/// 64-byte lines, one for every 20 columns:
///
///   byte 4*r + i of line l  =  base3_byte (base3_code.h) of row r, columns 20*l + 4*p + i
///   r = 0..15, i = 0..3, p = 0..4
///
/// Looked up in a table, a line becomes four planes of two bits, and the fifth.
///
/// Rows and columns are padded as there, with weight 0, as far as lines reach; columns beyond that
/// with weight -1: its code, 0, adds nothing to a sum whatever it is multiplied with, so that the
/// padding of activations need not be as long as that of weights.
[[nodiscard]] constexpr std::size_t base3_panel_bytes(std::size_t cols) noexcept {
  return (cols + 19) / 20 * ternary_line_bytes;
}
/// Bytes of a matrix; allocate them with 64-byte alignment (`node_memory` has it).
[[nodiscard]] constexpr std::size_t base3_bytes(std::size_t rows, std::size_t cols) noexcept {
  return padded_rows(rows) / ternary_panel_rows * base3_panel_bytes(cols);
}

/// Packs a whole matrix that is in the layout of two bits.
/// Shapes   two_bits: packed_bytes(rows, cols); packed: base3_bytes(rows, cols).
void pack_base3(std::span<const std::byte> two_bits, std::size_t rows, std::size_t cols,
                std::span<std::byte> packed);

/// Codes {-1, 0, +1} of row `row`, out [cols].
void unpack_base3_row(std::span<const std::byte> packed, std::size_t cols, std::size_t row,
                      std::span<std::int8_t> out);

/// The inverse for one panel, for what is not multiplied in integers.
/// Shapes   panel: base3_panel_bytes(cols); out: panel_bytes(cols).
void unpack_base3_panel(std::span<const std::byte> panel, std::size_t cols,
                        std::span<std::byte> out);

} // namespace bitnetd::engine
