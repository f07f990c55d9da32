// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// How texts are cut for a byte-level BPE: one of three published patterns, and what Falcon's do
/// before and after it.
struct split_rules {
  enum class pattern {
    /// (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3} |
    ///  ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
    llama3,
    /// The same with single digits.
    qwen2,
    /// 's|'t|'re|'ve|'m|'ll|'d |  ?\p{L}+ |  ?\p{N}+ |  ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
    gpt2,
  };
  /// What a step `Digits` of tokenizer.json does with the pieces of the pattern. It sees bytes by
  /// their letters, so the bytes of the letters ²³¹¼½¾ are digits to it, wherever they stand.
  enum class digits { as_they_are, runs_apart, each_apart };

  pattern words = pattern::gpt2;
  /// Runs of [\p{P}$+<=>^~|`] are cut out first; the pattern sees what lies between.
  bool punctuation_first = false;
  digits after = digits::as_they_are;
  unsigned group = 0; ///< last, this many ASCII digits in a row become a piece; 0: no such step

  bool operator==(const split_rules&) const = default;
  static const split_rules llama3, qwen2, gpt2, falcon;
};

inline constexpr split_rules split_rules::llama3{pattern::llama3};
inline constexpr split_rules split_rules::qwen2{pattern::qwen2};
inline constexpr split_rules split_rules::gpt2{};
inline constexpr split_rules split_rules::falcon{pattern::gpt2, true, digits::as_they_are, 3};

/// Cuts a text into the pieces within which BPE merges. The pieces are views of `text`, in order,
/// and together are all of it. Every byte that is not valid UTF-8 is a piece of its own. Time is
/// linear in the text: the patterns are matched by hand, because an interpreted regular expression
/// takes ten times as long and a compiled one needs memory that systemd forbids us.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text,
                                                        const split_rules& rules);

} // namespace bitnetd::engine
