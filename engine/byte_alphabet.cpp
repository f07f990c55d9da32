// SPDX-License-Identifier: MIT
#include "engine/byte_alphabet.h"

#include "base/utf8.h"

#include <array>

namespace bitnetd::engine {

namespace {

constexpr char32_t first_stand_in = 0x100;
constexpr std::size_t n_stand_ins = 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/// The bytes for which U+0100, U+0101, … stand.
constexpr auto stand_ins = [] {
  std::array<std::uint8_t, n_stand_ins> bytes{};
  std::size_t n = 0;
  for (unsigned byte = 0; byte < 256; ++byte)
    if (!stands_for_itself(byte))
      bytes[n++] = static_cast<std::uint8_t>(byte);
  return bytes;
}();

char32_t letter_of(std::uint8_t byte) {
  if (stands_for_itself(byte))
    return byte;
  std::size_t i = 0;
  while (stand_ins[i] != byte)
    ++i;
  return first_stand_in + static_cast<char32_t>(i);
}

} // namespace

std::string spell_byte(std::uint8_t byte) {
  const auto letter = letter_of(byte);
  if (letter < 0x80)
    return {static_cast<char>(letter)};
  return {static_cast<char>(0xC0 | (letter >> 6)), static_cast<char>(0x80 | (letter & 0x3F))};
}

std::optional<std::string> unspell_bytes(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto point = utf8_decode(text.substr(at));
    if (!point.valid)
      return std::nullopt;
    if (point.value < 256 && stands_for_itself(point.value))
      bytes += static_cast<char>(point.value);
    else if (point.value >= first_stand_in && point.value < first_stand_in + n_stand_ins)
      bytes += static_cast<char>(stand_ins[point.value - first_stand_in]);
    else
      return std::nullopt;
    at += point.size;
  }
  return bytes;
}

} // namespace bitnetd::engine
