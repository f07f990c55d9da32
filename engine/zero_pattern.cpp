// SPDX-License-Identifier: MIT
#include "engine/zero_pattern.h"

#include "engine/kernels/ternary_layout.h"

#include <algorithm>
#include <vector>

namespace bitnetd::engine {

namespace {

double share(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

} // namespace

void zero_pattern::add(const zero_pattern& more) noexcept {
  weights += more.weights;
  zero_weights += more.zero_weights;
  lines += more.lines;
  zero_lines += more.zero_lines;
}

double zero_pattern::weight_share() const noexcept { return share(zero_weights, weights); }
double zero_pattern::line_share() const noexcept { return share(zero_lines, lines); }

zero_pattern find_zeros(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                        std::uint64_t cols) {
  zero_pattern out;
  out.weights = rows * cols;
  std::vector<float> values(cols);
  std::vector<std::uint8_t> is_live((cols + ternary_line_columns - 1) / ternary_line_columns);
  for (std::uint64_t row = 0; row < rows; ++row) {
    decode_rows(type, raw, rows, cols, row, 1, values.data());
    for (std::size_t line = 0; line < is_live.size(); ++line) {
      const auto first = line * ternary_line_columns;
      const auto n = std::min<std::size_t>(ternary_line_columns, cols - first);
      const auto part = std::span{values}.subspan(first, n);
      const auto zeros = static_cast<std::size_t>(std::ranges::count(part, 0.0f));
      out.zero_weights += zeros;
      if (zeros < n)
        is_live[line] = 1;
    }
    if (row % ternary_panel_rows == ternary_panel_rows - 1 || row + 1 == rows) {
      out.lines += is_live.size();
      out.zero_lines += static_cast<std::uint64_t>(std::ranges::count(is_live, std::uint8_t{0}));
      std::ranges::fill(is_live, std::uint8_t{0});
    }
  }
  return out;
}

} // namespace bitnetd::engine
