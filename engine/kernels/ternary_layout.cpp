// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

namespace bitnetd::engine {

namespace {

/// Where the code of a column stands inside its line, for row 0 of the panel.
struct code_place {
  std::size_t line, byte;
  unsigned shift;
};

constexpr code_place place_of(std::size_t col) noexcept {
  return {col / ternary_line_columns, col % 4, static_cast<unsigned>(col % 16 / 4 * 2)};
}

/// Four weights -1, 0, 1, one in each byte, as codes: plus one, without carries between bytes.
std::uint32_t four_codes(const std::int8_t* weights) noexcept {
  std::uint32_t four;
  std::memcpy(&four, weights, sizeof four);
  return ((four & 0x7f7f7f7fu) + 0x01010101u) ^ (four & 0x80808080u);
}

/// One row of one line: 16 columns.
std::uint32_t word_of(const std::int8_t* weights) noexcept {
  return four_codes(weights) | four_codes(weights + 4) << 2 | four_codes(weights + 8) << 4 |
         four_codes(weights + 12) << 6;
}

constexpr std::uint32_t low_bits = 0x55555555u;

/// Counts the codes 1 of lines of a panel: in each byte apart, so that all rows are counted at
/// once, and as many lines as a byte can count.
std::uint64_t count_zeros(const std::uint32_t* lines, std::size_t n_lines) noexcept {
  constexpr std::size_t most_lines = 255 / 4;
  std::uint64_t zeros = 0;
  while (n_lines > 0) {
    const auto n = std::min(n_lines, most_lines);
    std::uint32_t counts[ternary_panel_rows] = {};
    for (std::size_t line = 0; line < n; ++line, lines += ternary_panel_rows)
      for (std::size_t row = 0; row < ternary_panel_rows; ++row) {
        const auto pairs = lines[row] & ~(lines[row] >> 1) & low_bits;
        const auto fours = (pairs & 0x33333333u) + (pairs >> 2 & 0x33333333u);
        counts[row] += (fours & 0x0f0f0f0fu) + (fours >> 4 & 0x0f0f0f0fu);
      }
    for (const auto count : counts)
      zeros += (count & 255u) + (count >> 8 & 255u) + (count >> 16 & 255u) + (count >> 24);
    n_lines -= n;
  }
  return zeros;
}

} // namespace

void words_of_codes(std::span<const std::int8_t> codes, std::uint32_t* words) noexcept {
  assert(std::ranges::all_of(codes, [](std::int8_t t) { return t >= -1 && t <= 1; }));
  for (; codes.size() >= ternary_line_columns; codes = codes.subspan(ternary_line_columns))
    *words++ = word_of(codes.data());
  if (!codes.empty()) {
    std::int8_t last[ternary_line_columns] = {};
    std::ranges::copy(codes, last);
    *words = word_of(last);
  }
}

std::uint64_t pack_ternary_panel(std::span<const std::uint32_t> words, std::size_t cols,
                                 std::span<std::byte> panel) noexcept {
  const auto row_words = ternary_row_words(cols), n_rows = words.size() / row_words;
  assert(words.size() == n_rows * row_words && n_rows <= ternary_panel_rows);
  assert(panel.size() == panel_bytes(cols));
  assert(std::ranges::none_of(words, [](auto word) { return (word & word >> 1 & low_bits) != 0; }));
  std::uint32_t lines[16 * ternary_panel_rows]; // so many at a time: these stay in the cache
  std::uint64_t zeros = 0;
  for (std::size_t from = 0; from < row_words; from += 16) {
    const auto n = std::min<std::size_t>(16, row_words - from);
    for (std::size_t row = 0; row < ternary_panel_rows; ++row)
      for (std::size_t i = 0; i < n; ++i)
        lines[i * ternary_panel_rows + row] =
            row < n_rows ? words[row * row_words + from + i] : ternary_zero_word;
    zeros += count_zeros(lines, n);
    std::memcpy(panel.data() + from * ternary_line_bytes, lines, n * ternary_line_bytes);
  }
  return zeros - (ternary_panel_rows * padded_columns(cols) - n_rows * cols); // without padding
}

std::uint64_t pack_ternary(std::span<const std::int8_t> codes, [[maybe_unused]] std::size_t rows,
                           std::size_t cols, std::size_t first_row, std::span<std::byte> packed) {
  const auto n_rows = codes.size() / cols;
  assert(codes.size() == n_rows * cols && packed.size() == packed_bytes(rows, cols));
  assert(first_row % ternary_panel_rows == 0 && first_row + n_rows <= rows);
  assert(n_rows % ternary_panel_rows == 0 || first_row + n_rows == rows);

  const auto row_words = ternary_row_words(cols), bytes = panel_bytes(cols);
  std::vector<std::uint32_t> words(ternary_panel_rows * row_words, ternary_zero_word);
  std::uint64_t zeros = 0;
  for (std::size_t row = 0; row < n_rows; row += ternary_panel_rows) {
    const auto n = std::min(ternary_panel_rows, n_rows - row);
    for (std::size_t i = 0; i < n; ++i)
      words_of_codes(codes.subspan((row + i) * cols, cols), words.data() + i * row_words);
    zeros +=
        pack_ternary_panel(std::span{words}.first(n * row_words), cols,
                           packed.subspan((first_row + row) / ternary_panel_rows * bytes, bytes));
  }
  return zeros;
}

void unpack_ternary_row(std::span<const std::byte> packed, std::size_t cols, std::size_t row,
                        std::span<std::int8_t> out) {
  assert(out.size() == cols);
  const auto* from =
      packed.data() + row / ternary_panel_rows * panel_bytes(cols) + 4 * (row % ternary_panel_rows);
  for (std::size_t col = 0; col < cols; ++col) {
    const auto [line, byte, shift] = place_of(col);
    const auto bits = std::to_integer<unsigned>(from[line * ternary_line_bytes + byte]) >> shift;
    out[col] = static_cast<std::int8_t>(static_cast<int>(bits & 3u) - 1);
  }
}

} // namespace bitnetd::engine
