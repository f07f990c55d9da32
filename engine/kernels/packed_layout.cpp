// SPDX-License-Identifier: MIT
#include "engine/kernels/packed_layout.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace bitnetd::engine {

namespace {

/// Four codes, one in each byte, plus `zero` each, without carries between bytes.
std::uint32_t four_codes(const std::int8_t* codes, std::uint32_t zero) noexcept {
  std::uint32_t four;
  std::memcpy(&four, codes, sizeof four);
  return ((four & 0x7f7f7f7fu) + zero * 0x01010101u) ^ (four & 0x80808080u);
}

/// One row of one line: four bytes.
void pack_line(const std::int8_t* codes, packed_bits bits, std::byte* to) noexcept {
  std::uint32_t bytes;
  if (bits == packed_bits::four) {
    bytes = four_codes(codes, 8) | four_codes(codes + 4, 8) << 4;
  } else {
    std::memcpy(&bytes, codes, sizeof bytes);
    bytes ^= 0x80808080u; // plus 128
  }
  std::memcpy(to, &bytes, sizeof bytes);
}

} // namespace

void pack_panel(std::span<const std::int8_t> rows, std::size_t cols, packed_bits bits,
                std::span<std::byte> panel) {
  const std::size_t n_rows = rows.size() / cols, columns = bits == packed_bits::four ? 8 : 4;
  assert(rows.size() == n_rows * cols && n_rows <= ternary_panel_rows);
  assert(panel.size() == packed_bytes(ternary_panel_rows, cols, bits));
  std::ranges::fill(panel, bits == packed_bits::four ? std::byte{0x88} : std::byte{0x80});
  for (std::size_t row = 0; row < n_rows; ++row) {
    const auto* from = rows.data() + row * cols;
    assert(std::all_of(from, from + cols, [&](std::int8_t c) {
      return bits == packed_bits::four ? c >= -8 && c <= 7 : c >= -127;
    }));
    auto* to = panel.data() + 4 * row;
    std::size_t line = 0;
    for (; (line + 1) * columns <= cols; ++line)
      pack_line(from + line * columns, bits, to + line * ternary_line_bytes);
    if (const auto left = cols % columns; left > 0) {
      std::int8_t last[8] = {};
      std::copy_n(from + line * columns, left, last);
      pack_line(last, bits, to + line * ternary_line_bytes);
    }
  }
}

} // namespace bitnetd::engine
