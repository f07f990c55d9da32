// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/ternary_layout.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// The packed layout of a matrix of 4-bit or 8-bit whole numbers: that of ternary_layout.h with
/// wider codes. Sixteen rows make a panel, a panel is a sequence of 64-byte lines:
///
///   4 bits   a line has 8 columns; byte 4*r + i of line l holds column 8*l + i in its low half
///            and column 8*l + 4 + i in its high half, as w + 8
///   8 bits   a line has 4 columns; byte 4*r + i of line l holds column 4*l + i as w + 128
///
/// Columns are padded to 128 and rows to 16 with zero weights.
enum class packed_bits : unsigned { four = 4, eight = 8 };

/// Bytes of the panels of a matrix.
[[nodiscard]] constexpr std::size_t packed_bytes(std::size_t rows, std::size_t cols,
                                                 packed_bits bits) noexcept {
  return padded_rows(rows) * padded_columns(cols) * static_cast<unsigned>(bits) / 8;
}

/// Packs the rows of one panel, up to 16 of them (missing ones become zero).
/// Shapes   rows [n, cols], n = rows.size() / cols <= 16, within -8…7 or -127…127: asserted;
///          panel: packed_bytes(16, cols, bits).
void pack_panel(std::span<const std::int8_t> rows, std::size_t cols, packed_bits bits,
                std::span<std::byte> panel);

} // namespace bitnetd::engine
