// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::engine {

/// GPT-2's alphabet, in which byte-level vocabularies spell their tokens: the bytes 33–126, 161–172
/// and 174–255 stand for themselves, the other 68 in increasing order for U+0100, U+0101, ….

/// The UTF-8 text that stands for a byte.
[[nodiscard]] std::string spell_byte(std::uint8_t byte);

/// The bytes that a token's text stands for; empty optional when it has other characters.
[[nodiscard]] std::optional<std::string> unspell_bytes(std::string_view text);

} // namespace bitnetd::engine
