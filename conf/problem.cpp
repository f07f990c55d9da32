// SPDX-License-Identifier: MIT
#include "conf/problem.h"

#include "base/utf8.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>

namespace bitnetd::conf {

namespace {

// Longer words are no misspelling of a key, and the table below grows with their length.
constexpr std::size_t longest_word = 64;
constexpr std::size_t longest_excerpt = 60;

// Edit distance where swapping two neighbours counts as one mistake (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const bool same = a[i - 1] == b[j - 1];
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (same ? std::size_t{0} : std::size_t{1})});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

} // namespace

std::string problem::text() const {
  std::string out = file;
  if (line > 0)
    out += ':' + std::to_string(line) + ':' + std::to_string(column);
  out += ": ";
  if (!path.empty())
    out += path + ": ";
  return out + message;
}

std::string text(std::span<const problem> problems) {
  std::string out;
  for (const auto& p : problems)
    out += p.text() + '\n';
  return out;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > longest_word)
    return {};
  std::string_view best;
  // One mistake in a short word, two from six letters on, three from nine.
  std::size_t limit = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto candidate : candidates)
    if (const auto d = distance(word, candidate); d < limit && d < candidate.size()) {
      limit = d;
      best = candidate;
    }
  return best;
}

std::string printable(std::string_view text) {
  std::string_view kept = text.substr(0, longest_excerpt);
  if (kept.size() < text.size())
    kept = kept.substr(0, utf8_complete_prefix(kept));
  std::string out;
  for (const char c : kept) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return kept.size() < text.size() ? out + "…" : out;
}

} // namespace bitnetd::conf
