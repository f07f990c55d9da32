// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::actors {

/// What a word is, as far as guards care.
enum class word_kind : std::uint8_t {
  plain,   ///< "the", "please", "tell": says nothing of what is asked
  content, ///< carries the question
  number,
  unit,     ///< "miles", "days", "words"
  name,     ///< capitalised inside a sentence, ALL CAPS, letters with digits
  literal,  ///< quoted, code, path, address, option
  role,     ///< "from", "than", "into": says what part the next word plays
  negation, ///< "not", "without"
};

struct word {
  std::string text; ///< normal form: lower case, stem, number without separators
  word_kind kind = word_kind::plain;
  /// What it is compared by: equal for one word in another case or ending, and for a long word with
  /// letters exchanged inside.
  std::string key;
  bool ends_clause = false; ///< a comma, dash, colon or full stop follows
};

/// A text taken apart once, for comparing it with others (guards.h).
struct wording {
  std::vector<word> words;
  /// Sorted; equal words are kept.
  std::vector<std::string> numbers, units, names, literals, negations, content;
  std::vector<std::string> formats; ///< sorted, once each: json, table, poem
  std::string asks;                 ///< why or who; empty: anything else
  std::uint32_t scripts = 0;        ///< bit set of writing systems
  std::string tongue;               ///< en, de, fr, es by common words; empty: cannot tell
  bool is_volatile = false;         ///< speaks of now: today, latest, current, above
  bool is_symmetric = false; ///< between, both, sum: of what follows the order does not matter
};

/// Takes a text apart. Any bytes will do; work is linear in their number.
[[nodiscard]] wording wording_of(std::string_view text);

/// What one has and what the other has, for people: "5 km against none".
[[nodiscard]] std::string against(const std::vector<std::string>& a,
                                  const std::vector<std::string>& b);

/// Content words that the two do not share. `replaced`: as many stand on one side as on the other;
/// `added`: what one side has beyond that. Of those that they share, `moved` stand in another order:
/// so many must be taken out for the rest to agree.
struct word_difference {
  std::size_t replaced = 0, added = 0, moved = 0;
};
[[nodiscard]] word_difference difference_of(const wording& a, const wording& b);

} // namespace bitnetd::actors
