// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// Which published split pattern a byte-level BPE was trained with.
enum class split_rules {
  /// (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3} |
  ///  ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
  llama3,
  /// The same with single digits.
  qwen2,
  /// 's|'t|'re|'ve|'m|'ll|'d |  ?\p{L}+ |  ?\p{N}+ |  ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
  gpt2,
  /// Runs of [\p{P}$+<=>^~|`] are cut out first, then gpt2 in what lies between, then digits in
  /// threes from the left.
  falcon
};

/// Cuts a text into the pieces within which BPE merges. The pieces are views of `text`, in order,
/// and together are all of it. Every byte that is not valid UTF-8 is a piece of its own. Time is
/// linear in the text: the patterns are matched by hand, because an interpreted regular expression
/// takes ten times as long and a compiled one needs memory that systemd forbids us.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text, split_rules rules);

} // namespace bitnetd::engine
