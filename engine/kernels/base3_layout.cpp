// SPDX-License-Identifier: MIT
#include "engine/kernels/base3_layout.h"

#include "engine/kernels/base3_blocks.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace bitnetd::engine {

namespace {

constexpr std::size_t four_lines = 4 * ternary_line_bytes, five_lines = 5 * ternary_line_bytes;

/// The base-3 number of four codes in two bits each, and a fifth, as a byte. Without branches: the
/// loop over a line is then one over vectors.
std::uint8_t byte_of(unsigned pairs, unsigned fifth) noexcept {
  const auto four =
      (pairs & 3u) + 3 * (pairs >> 2 & 3u) + 9 * (pairs >> 4 & 3u) + 27 * (pairs >> 6 & 3u);
  return static_cast<std::uint8_t>(base3_byte(four, fifth & 3u));
}

/// Five lines of two bits each to four: base3_regroup backwards.
void pack_lines(const std::uint8_t* from, std::uint8_t* to) noexcept {
  for (std::size_t i = 0; i < ternary_line_bytes; ++i) {
    const unsigned a = from[i], b = from[64 + i], c = from[128 + i], d = from[192 + i],
                   e = from[256 + i];
    to[i] = byte_of(a, b);
    to[64 + i] = byte_of(b >> 2 | c << 6, c >> 2);
    to[128 + i] = byte_of(c >> 4 | d << 4, d >> 4);
    to[192 + i] = byte_of(d >> 6 | e << 2, e >> 6);
  }
}

void split_line(const std::uint8_t* line, std::uint8_t* pairs, std::uint8_t* fifths) {
  for (std::size_t i = 0; i < ternary_line_bytes; ++i) {
    pairs[i] = static_cast<std::uint8_t>(base3_four(line[i]));
    fifths[i] = static_cast<std::uint8_t>(base3_fifth(line[i]));
  }
}

} // namespace

void pack_base3(std::span<const std::byte> two_bits, std::size_t rows, std::size_t cols,
                std::span<std::byte> packed) {
  assert(two_bits.size() == packed_bytes(rows, cols) && packed.size() == base3_bytes(rows, cols));
  const auto from_bytes = panel_bytes(cols), to_bytes = base3_panel_bytes(cols);
  for (std::size_t panel = 0; panel < padded_rows(rows) / ternary_panel_rows; ++panel) {
    const auto from = two_bits.subspan(panel * from_bytes, from_bytes);
    const auto to = packed.subspan(panel * to_bytes, to_bytes);
    for (std::size_t at = 0, read = 0; at < to_bytes; at += four_lines, read += five_lines) {
      std::uint8_t lines[five_lines] = {}, made[four_lines]; // code 0 beyond what is there
      std::memcpy(lines, from.data() + read, std::min(five_lines, from_bytes - read));
      pack_lines(lines, made);
      std::memcpy(to.data() + at, made, std::min(four_lines, to_bytes - at));
    }
  }
}

void unpack_base3_row(std::span<const std::byte> packed, std::size_t cols, std::size_t row,
                      std::span<std::int8_t> out) {
  assert(out.size() == cols);
  const auto* from = packed.data() + row / ternary_panel_rows * base3_panel_bytes(cols) +
                     4 * (row % ternary_panel_rows);
  for (std::size_t col = 0; col < cols; ++col) {
    const auto plane = col % base3_line_columns / 4;
    const auto byte = std::to_integer<std::uint8_t>(
        from[col / base3_line_columns * ternary_line_bytes + col % 4]);
    const auto code = plane == 4 ? base3_fifth(byte) >> 6 : base3_four(byte) >> 2 * plane & 3u;
    out[col] = static_cast<std::int8_t>(static_cast<int>(code) - 1);
  }
}

void unpack_base3_panel(std::span<const std::byte> panel, [[maybe_unused]] std::size_t cols,
                        std::span<std::byte> out) {
  assert(panel.size() == base3_panel_bytes(cols) && out.size() == panel_bytes(cols));
  for (std::size_t at = 0, to = 0; to < out.size(); at += four_lines, to += five_lines) {
    std::uint8_t lines[four_lines] = {}, made[five_lines];
    if (at < panel.size())
      std::memcpy(lines, panel.data() + at, std::min(four_lines, panel.size() - at));
    base3_regroup<split_line>(lines, made);
    std::memcpy(out.data() + to, made, std::min(five_lines, out.size() - to));
  }
}

} // namespace bitnetd::engine
