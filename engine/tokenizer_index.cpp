// SPDX-License-Identifier: MIT
#include "engine/tokenizer_index.h"

#include <algorithm>

namespace bitnetd::engine {

special_texts::special_texts(std::vector<std::pair<std::string_view, token_id>> texts)
    : sorted_(std::move(texts)) {
  std::sort(sorted_.begin(), sorted_.end());
  const auto same_text = [](const auto& a, const auto& b) { return a.first == b.first; };
  sorted_.erase(std::unique(sorted_.begin(), sorted_.end(), same_text), sorted_.end());
  for (const auto& [text, token] : sorted_)
    first_bytes_.set(static_cast<unsigned char>(text[0]));
}

special_texts::match special_texts::find(std::string_view text, std::size_t from) const noexcept {
  if (sorted_.empty())
    return {};
  for (std::size_t at = from; at < text.size(); ++at) {
    if (!first_bytes_[static_cast<unsigned char>(text[at])])
      continue;
    if (const auto found = longest_at(text, at); found.size != 0)
      return found;
  }
  return {};
}

/// Narrows the sorted texts byte by byte to those that agree with the text so far.
special_texts::match special_texts::longest_at(std::string_view text,
                                               std::size_t at) const noexcept {
  match best;
  auto low = sorted_.begin(), high = sorted_.end();
  for (std::size_t depth = 0; at + depth < text.size() && low != high; ++depth) {
    const auto wanted = static_cast<unsigned char>(text[at + depth]);
    // All of [low, high) share their first `depth` bytes; a text that ends here sorts first.
    if (low->first.size() == depth)
      ++low;
    const auto byte = [depth](const auto& entry) {
      return static_cast<unsigned char>(entry.first[depth]);
    };
    low = std::lower_bound(low, high, wanted,
                           [&](const auto& entry, unsigned char b) { return byte(entry) < b; });
    high = std::upper_bound(low, high, wanted,
                            [&](unsigned char b, const auto& entry) { return b < byte(entry); });
    if (low != high && low->first.size() == depth + 1)
      best = {at, depth + 1, low->second};
  }
  return best;
}

} // namespace bitnetd::engine
