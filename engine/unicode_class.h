// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bitnetd::engine {

/// What a character is to a pre-tokenizer: the classes \s, \p{L}, \p{N} and \p{P} of its pattern.
enum class char_class : std::uint8_t {
  invalid, ///< a byte that is not part of valid UTF-8
  space,
  letter,
  number,
  punctuation,
  other ///< marks, symbols, controls, what is not assigned
};

/// One character of a text. At the end of the text `size` is 0 and `kind` is invalid.
struct text_char {
  char32_t value = 0;
  std::uint8_t size = 0; ///< in bytes; 1 for an invalid one
  char_class kind = char_class::invalid;

  [[nodiscard]] bool is_newline() const noexcept { return value == '\n' || value == '\r'; }
  /// [^\s\p{L}\p{N}]
  [[nodiscard]] bool is_symbol() const noexcept {
    return kind == char_class::punctuation || kind == char_class::other;
  }
};

/// Class of a code point, by Unicode 15.0.
[[nodiscard]] char_class classify(char32_t point) noexcept;

/// The character that starts at byte `at`.
[[nodiscard]] text_char char_at(std::string_view text, std::size_t at) noexcept;

/// Whether Python's str.strip() removes it; chat templates are written against that.
[[nodiscard]] bool is_stripped(text_char c) noexcept;

} // namespace bitnetd::engine
