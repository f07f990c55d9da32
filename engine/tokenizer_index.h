// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tokenizer.h"

#include <bitset>
#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bitnetd::engine {

/// Texts that are found in a text before anything else: those of special tokens.
class special_texts {
public:
  /// Longest text accepted, in bytes: it bounds the work at each position of a text.
  static constexpr std::size_t longest_allowed = 1024;

  struct match {
    std::size_t begin = 0, size = 0;
    token_id token = -1;
  };

  special_texts() = default;
  /// The views must outlive this. Of equal texts the first stays.
  explicit special_texts(std::vector<std::pair<std::string_view, token_id>> texts);

  /// The leftmost occurrence at or after `from`, the longest there; size 0 when there is none.
  [[nodiscard]] match find(std::string_view text, std::size_t from) const noexcept;

private:
  [[nodiscard]] match longest_at(std::string_view text, std::size_t at) const noexcept;

  std::vector<std::pair<std::string_view, token_id>> sorted_;
  std::bitset<256> first_bytes_;
};

/// Text -> id, and the special texts. Views refer to the texts of the tokenizer that owns this.
struct tokenizer::index {
  std::unordered_map<std::string_view, token_id> ids; ///< of equal texts the first
  special_texts control;      ///< control and unknown tokens: only trusted text may spell them
  special_texts user_defined; ///< found in any text
  bool composes = false;      ///< what lies between is normalized to NFC first
};

} // namespace bitnetd::engine
