// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"

#include <algorithm>
#include <cassert>
#include <cstring>

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

constexpr std::byte all_zero_weights{0x55}; // code 1 four times

/// Four weights -1, 0, 1, one in each byte, as codes: plus one, without carries between bytes.
std::uint32_t four_codes(const std::int8_t* weights) noexcept {
  std::uint32_t four;
  std::memcpy(&four, weights, sizeof four);
  return ((four & 0x7f7f7f7fu) + 0x01010101u) ^ (four & 0x80808080u);
}

/// One row of one line: 16 columns in four bytes.
void pack_line(const std::int8_t* weights, std::byte* to) noexcept {
  const std::uint32_t bytes = four_codes(weights) | four_codes(weights + 4) << 2 |
                              four_codes(weights + 8) << 4 | four_codes(weights + 12) << 6;
  std::memcpy(to, &bytes, sizeof bytes);
}

} // namespace

std::uint64_t pack_ternary(std::span<const std::int8_t> codes, [[maybe_unused]] std::size_t rows,
                           std::size_t cols, std::size_t first_row, std::span<std::byte> packed) {
  const auto n_rows = codes.size() / cols;
  assert(codes.size() == n_rows * cols && packed.size() == packed_bytes(rows, cols));
  assert(first_row % ternary_panel_rows == 0 && first_row + n_rows <= rows);
  assert(n_rows % ternary_panel_rows == 0 || first_row + n_rows == rows);

  const auto first_byte = first_row / ternary_panel_rows * panel_bytes(cols);
  const auto target = packed.subspan(first_byte, packed_bytes(n_rows, cols));
  std::ranges::fill(target, all_zero_weights);
  std::uint64_t zeros = 0;
  for (std::size_t row = 0; row < n_rows; ++row) {
    const auto* from = codes.data() + row * cols;
    auto* to = target.data() + row / ternary_panel_rows * panel_bytes(cols) +
               4 * (row % ternary_panel_rows);
    assert(std::all_of(from, from + cols, [](std::int8_t t) { return t >= -1 && t <= 1; }));
    std::size_t line = 0;
    for (; (line + 1) * ternary_line_columns <= cols; ++line)
      pack_line(from + line * ternary_line_columns, to + line * ternary_line_bytes);
    if (const auto left = cols % ternary_line_columns; left > 0) {
      std::int8_t last[ternary_line_columns] = {};
      std::copy_n(from + line * ternary_line_columns, left, last);
      pack_line(last, to + line * ternary_line_bytes);
    }
    zeros += static_cast<std::uint64_t>(std::count(from, from + cols, std::int8_t{0}));
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
