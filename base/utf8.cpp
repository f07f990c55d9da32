// SPDX-License-Identifier: MIT
#include "base/utf8.h"

#include <algorithm>

namespace bitnetd {

namespace {

/// Bytes that a sequence with this first byte has; 0 for bytes that start none.
std::uint8_t sequence_size(unsigned char first) noexcept {
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first < 0xE0)
    return 2;
  if (first >= 0xE0 && first < 0xF0)
    return 3;
  if (first >= 0xF0 && first < 0xF5)
    return 4;
  return 0;
}

/// The second byte decides about overlong forms, surrogates and values above U+10FFFF.
bool second_byte_fits(unsigned char first, unsigned char second) noexcept {
  switch (first) {
  case 0xE0:
    return second >= 0xA0 && second < 0xC0;
  case 0xED:
    return second >= 0x80 && second < 0xA0;
  case 0xF0:
    return second >= 0x90 && second < 0xC0;
  case 0xF4:
    return second >= 0x80 && second < 0x90;
  default:
    return (second & 0xC0) == 0x80;
  }
}

} // namespace

utf8_point utf8_decode(std::string_view text) noexcept {
  if (text.empty())
    return {};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto size = sequence_size(byte(0));
  if (size == 1)
    return {byte(0), 1, true};
  if (size == 0 || text.size() < size || !second_byte_fits(byte(0), byte(1)))
    return {byte(0), 1, false};
  char32_t value = byte(0) & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80)
      return {byte(0), 1, false};
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  return {value, size, true};
}

std::size_t utf8_find_invalid(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const auto point = utf8_decode(text.substr(at));
    if (!point.valid)
      return at;
    at += point.size;
  }
  return std::string_view::npos;
}

std::size_t utf8_complete_prefix(std::string_view text) noexcept {
  const auto look_back = std::min<std::size_t>(text.size(), 3);
  for (std::size_t back = 1; back <= look_back; ++back) {
    const auto at = text.size() - back;
    const auto first = static_cast<unsigned char>(text[at]);
    if ((first & 0xC0) == 0x80)
      continue; // a continuation byte: its first byte is further left
    const auto size = sequence_size(first);
    if (size <= back)
      return text.size();
    const bool can_grow =
        back == 1 || second_byte_fits(first, static_cast<unsigned char>(text[at + 1]));
    return can_grow ? at : text.size();
  }
  return text.size();
}

} // namespace bitnetd
