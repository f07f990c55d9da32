// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::actors {

// What guards know of English. All words are in the normal form of `stem`, except where said.

/// Lower-case word without its common endings: "cooking" and "cooks" are "cook".
[[nodiscard]] std::string stem(std::string_view lower_case);

/// Says nothing of what is asked (not stemmed).
[[nodiscard]] bool is_plain_word(std::string_view lower_case);
/// From, to, than, by … (not stemmed).
[[nodiscard]] bool is_role_word(std::string_view lower_case);
/// Not, never, without … and every word that ends in n't (not stemmed).
[[nodiscard]] bool is_negation(std::string_view lower_case);
/// "seven" -> "7" (not stemmed).
[[nodiscard]] std::optional<std::string> number_word(std::string_view lower_case);
/// Normal form of a unit, of measure or of counting: "km", "kilometers" -> "kilometre"; nothing
/// for a word that is none (not stemmed).
[[nodiscard]] std::optional<std::string_view> unit_of(std::string_view lower_case);
/// A unit of time or of text: behind a number it counts, elsewhere it is a word like any other.
[[nodiscard]] bool only_counts(std::string_view unit);
/// Normal form of an output format: "bullets" -> "bullet" (not stemmed).
[[nodiscard]] std::optional<std::string_view> format_of(std::string_view lower_case);
/// Words that mean the same become one: "purpose" -> "mean".
[[nodiscard]] std::string_view folded(std::string_view stemmed);
/// Whether two stems are opposites: "first" and "last".
[[nodiscard]] bool are_opposites(std::string_view a, std::string_view b);
/// Has an opposite at all.
[[nodiscard]] bool has_opposite(std::string_view stemmed);
/// The unit, negation or format that this word is with two letters inside exchanged ("wtihout"), or
/// the word itself (not stemmed).
[[nodiscard]] std::string_view without_slip(std::string_view lower_case);
/// Its letters in order but the first and the last: equal for a long word and its slips.
[[nodiscard]] std::string slip_key(std::string_view word);
/// Today, latest, current … (not stemmed).
[[nodiscard]] bool is_volatile_word(std::string_view lower_case);
/// Between, both, sum …: the order of what follows does not matter (not stemmed).
[[nodiscard]] bool is_symmetric_word(std::string_view lower_case);
/// en, de, fr, es: whose common word this is; empty: of none or of several (not stemmed).
[[nodiscard]] std::string_view tongue_of(std::string_view lower_case);

} // namespace bitnetd::actors
