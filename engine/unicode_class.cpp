// SPDX-License-Identifier: MIT
#include "engine/unicode_class.h"

#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace bitnetd::engine {

namespace {

struct char_range {
  char32_t first, last;
  char_class kind;
};

/// Letters, numbers and punctuation above ASCII, in order; spaces are listed in code.
constexpr char_range ranges[] = {
#include "engine/unicode_class_table.inc"
};

constexpr char_class classify_ascii(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
    return char_class::letter;
  if (c >= '0' && c <= '9')
    return char_class::number;
  if (c == ' ' || (c >= '\t' && c <= '\r'))
    return char_class::space;
  if (std::string_view{"!\"#%&'()*,-./:;?@[\\]_{}"}.find(c) != std::string_view::npos)
    return char_class::punctuation;
  return char_class::other;
}

constexpr auto ascii = [] {
  std::array<char_class, 128> table{};
  for (int c = 0; c < 128; ++c)
    table[static_cast<std::size_t>(c)] = classify_ascii(static_cast<char>(c));
  return table;
}();

/// White_Space of Unicode above ASCII.
bool is_wide_space(char32_t point) noexcept {
  return point == 0x85 || point == 0xA0 || point == 0x1680 ||
         (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
         point == 0x202F || point == 0x205F || point == 0x3000;
}

} // namespace

char_class classify(char32_t point) noexcept {
  if (point < ascii.size())
    return ascii[point];
  if (is_wide_space(point))
    return char_class::space;
  const auto* range =
      std::lower_bound(std::begin(ranges), std::end(ranges), point,
                       [](const char_range& r, char32_t value) { return r.last < value; });
  return range != std::end(ranges) && point >= range->first ? range->kind : char_class::other;
}

text_char char_at(std::string_view text, std::size_t at) noexcept {
  if (at >= text.size())
    return {};
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < ascii.size())
    return {first, 1, ascii[first]};
  const auto point = utf8_decode(text.substr(at));
  return {point.value, point.size, point.valid ? classify(point.value) : char_class::invalid};
}

bool is_stripped(text_char c) noexcept {
  return c.kind == char_class::space || (c.value >= 0x1C && c.value <= 0x1F);
}

} // namespace bitnetd::engine
