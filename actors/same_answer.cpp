// SPDX-License-Identifier: MIT
#include "actors/same_answer.h"

#include "actors/wording.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace bitnetd::actors {

namespace {

// Greedy answers of one model to one question in two wordings mostly agree to the letter; what
// shares less than a third of its words speaks of something else.
constexpr double same_share = 0.9, different_share = 0.3;
constexpr std::size_t short_answer = 12; // words: one changed word changes what it says

/// Letters and digits in lower case, one space between words.
std::vector<std::string> plain_words(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : text) {
    const auto b = static_cast<unsigned char>(c);
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || b >= 0x80) {
      word += upper ? static_cast<char>(c + 32) : c;
    } else if (!word.empty()) {
      out.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty())
    out.push_back(std::move(word));
  return out;
}

/// F1 of the two bags of words.
double shared_words(std::vector<std::string> a, std::vector<std::string> b) {
  if (a.empty() || b.empty())
    return 0;
  std::ranges::sort(a);
  std::ranges::sort(b);
  std::vector<std::string> both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return 2 * static_cast<double>(both.size()) / static_cast<double>(a.size() + b.size());
}

} // namespace

answer_match same_answer(std::string_view a, std::string_view b) {
  const auto left = plain_words(a), right = plain_words(b);
  const auto x = wording_of(a), y = wording_of(b);
  if (x.numbers != y.numbers || x.negations.size() != y.negations.size() ||
      x.literals != y.literals)
    return answer_match::different;
  if (left == right)
    return answer_match::same;
  if (left.size() <= short_answer || right.size() <= short_answer)
    return answer_match::different;
  const auto share = shared_words(left, right);
  if (share >= same_share && x.names == y.names)
    return answer_match::same;
  return share <= different_share ? answer_match::different : answer_match::unknown;
}

} // namespace bitnetd::actors
