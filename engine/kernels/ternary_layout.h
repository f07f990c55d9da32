// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// The packed layout of a ternary matrix: what every ternary kernel reads.
///
/// A code is t + 1, so 0, 1 or 2, in two bits. Sixteen rows make a panel. A panel is a sequence of
/// 64-byte lines, one for every 16 columns:
///
///   byte 4*r + i of line l, bits 2p and 2p+1  =  code of row r, column 16*l + 4*p + i
///   r = 0..15, i = 0..3, p = 0..3
///
/// A line masked to one bit pair (a plane) is therefore, without any shuffle, the unsigned operand
/// of `vpdpbusd` (or of `vpmaddubsw`, in two halves) against one broadcast group of four
/// activations, and the 16 results are those of 16 rows: there are no horizontal sums, and every
/// byte is used for as many tokens as are in flight while it stands in a register.
///
/// Columns are padded to 128 and rows to 16, with code 1 (a zero weight). Panels follow each other
/// without gaps; a panel is one sequential stream of 4 * padded_columns bytes.
constexpr std::size_t ternary_panel_rows = 16;
constexpr std::size_t ternary_column_block = 128;
constexpr std::size_t ternary_line_columns = 16;
constexpr std::size_t ternary_line_bytes = 64;

[[nodiscard]] constexpr std::size_t padded_columns(std::size_t cols) noexcept {
  return (cols + ternary_column_block - 1) / ternary_column_block * ternary_column_block;
}
[[nodiscard]] constexpr std::size_t padded_rows(std::size_t rows) noexcept {
  return (rows + ternary_panel_rows - 1) / ternary_panel_rows * ternary_panel_rows;
}
/// Bytes of one panel of 16 rows.
[[nodiscard]] constexpr std::size_t panel_bytes(std::size_t cols) noexcept {
  return padded_columns(cols) / ternary_line_columns * ternary_line_bytes;
}
/// Bytes of a packed matrix; allocate them with 64-byte alignment (`node_memory` has it).
[[nodiscard]] constexpr std::size_t packed_bytes(std::size_t rows, std::size_t cols) noexcept {
  return padded_rows(rows) / ternary_panel_rows * panel_bytes(cols);
}

/// A row by itself is a sequence of words, one for every line: the four bytes that it has there.
[[nodiscard]] constexpr std::size_t ternary_row_words(std::size_t cols) noexcept {
  return padded_columns(cols) / ternary_line_columns;
}
constexpr std::uint32_t ternary_zero_word = 0x55555555u; ///< sixteen zero weights

/// The words of a row's codes, {-1, 0, +1}: as many as hold columns; words behind them stay.
void words_of_codes(std::span<const std::int8_t> codes, std::uint32_t* words) noexcept;

/// Puts rows together to a panel.
/// Shapes   words [n, ternary_row_words(cols)], n <= 16; panel: panel_bytes(cols).
/// Requires no code of 3; padding is zero words: asserted.
/// Returns  how many of the n * cols codes are 0.
std::uint64_t pack_ternary_panel(std::span<const std::uint32_t> words, std::size_t cols,
                                 std::span<std::byte> panel) noexcept;

/// Packs rows [first_row, first_row + n) of a matrix of `rows` rows, n = codes.size() / cols.
///
/// Shapes   codes [n, cols] of {-1, 0, +1}; packed: the whole matrix, packed_bytes(rows, cols).
/// Requires first_row a multiple of 16; n a multiple of 16 or first_row + n == rows: asserted.
///          Ranges that do not overlap may be packed by different threads.
/// Returns  how many of the codes are 0.
std::uint64_t pack_ternary(std::span<const std::int8_t> codes, std::size_t rows, std::size_t cols,
                           std::size_t first_row, std::span<std::byte> packed);

/// The inverse: codes {-1, 0, +1} of row `row`, out [cols].
void unpack_ternary_row(std::span<const std::byte> packed, std::size_t cols, std::size_t row,
                        std::span<std::int8_t> out);

} // namespace bitnetd::engine
