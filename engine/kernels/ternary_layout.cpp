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
    for (std::size_t col = 0; col < cols; ++col) {
      assert(from[col] >= -1 && from[col] <= 1);
      const auto [line, byte, shift] = place_of(col);
      // The place holds code 1 (binary 01); exclusive or with 1 ^ code writes the code.
      const auto change = static_cast<unsigned>(from[col] + 1) ^ 1u;
      to[line * ternary_line_bytes + byte] ^= static_cast<std::byte>(change << shift);
      zeros += from[col] == 0;
    }
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
