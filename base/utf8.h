// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bitnetd {

/// One decoded code point. `size` is 0 at the end of the text; an invalid byte decodes as
/// `valid == false` with size 1, so that a caller always moves on.
struct utf8_point {
  char32_t value = 0;
  std::uint8_t size = 0;
  bool valid = false;
};

/// An ASCII digit, whatever the locale.
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Decodes the code point at the front of `text` (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] utf8_point utf8_decode(std::string_view text) noexcept;

/// Offset of the first byte that is not valid UTF-8, or npos.
[[nodiscard]] std::size_t utf8_find_invalid(std::string_view text) noexcept;

/// Length of the longest prefix of `text` that does not end inside a code point. Bytes that can
/// never become valid count as complete.
[[nodiscard]] std::size_t utf8_complete_prefix(std::string_view text) noexcept;

} // namespace bitnetd
