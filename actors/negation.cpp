// SPDX-License-Identifier: MIT
#include "actors/negation.h"

#include "actors/word_lists.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace bitnetd::actors {

namespace {

using keys = std::set<std::string>;

constexpr std::array<std::string_view, 8> pronouns{"it",  "they", "there", "he",
                                                   "she", "you",  "we",    "i"};
/// What introduces a question: such a one ends in "isn't it" without a tag.
constexpr std::array<std::string_view, 8> askers{"why",  "what",  "who",   "how",
                                                 "when", "where", "which", "whose"};
/// A denial does not reach beyond these.
constexpr std::array<std::string_view, 9> joints{"but",    "and",     "yet",  "while", "because",
                                                 "though", "whereas", "when", "if"};

template <class List> bool is_one_of(const List& all, const std::string& text) {
  return std::ranges::find(all, text) != all.end();
}

void make_plain(word& one) { one.kind = word_kind::plain; }

/// "It floats, doesn't it?", "It floats doesn't it?"
void drop_tag(std::vector<word>& words) {
  if (words.size() < 4)
    return;
  auto& verb = words[words.size() - 2];
  if (verb.kind != word_kind::negation || !verb.text.ends_with("n't") ||
      !is_one_of(pronouns, words.back().text))
    return;
  if (words[words.size() - 3].ends_clause || !is_one_of(askers, words.front().text))
    make_plain(verb);
}

bool denies(const word& one) noexcept { return one.kind == word_kind::negation; }

bool carries(const word& one) noexcept {
  return one.kind == word_kind::content || one.kind == word_kind::name ||
         one.kind == word_kind::literal;
}

/// Words that stand behind a negation, up to the end of its clause; and all others.
struct scopes {
  keys denied, open;
};

scopes scopes_of(const wording& text) {
  scopes out;
  bool inside = false;
  for (const auto& one : text.words) {
    if (denies(one))
      inside = true;
    else if (is_one_of(joints, one.text))
      inside = false;
    else if (carries(one))
      (inside ? out.denied : out.open).insert(one.key);
    if (one.ends_clause)
      inside = false;
  }
  return out;
}

/// A word that is denied here and only here, though the other text has it.
std::optional<std::string> denied_here_only(const scopes& here, const scopes& there) {
  for (const auto& key : here.denied)
    if (!here.open.contains(key) && there.open.contains(key) && !there.denied.contains(key))
      return key;
  return std::nullopt;
}

/// Whether the first is the second with a prefix or ending that denies it.
bool denies_word(std::string_view with, std::string_view bare) {
  constexpr std::array<std::string_view, 10> prefixes{"un", "non", "in",  "im",   "ir",
                                                      "il", "dis", "mis", "anti", "de"};
  constexpr std::size_t least = 3; // letters of the bare word
  if (bare.size() < least || with.size() <= bare.size())
    return false;
  const auto extra = with.size() - bare.size();
  if (with.ends_with(bare))
    return std::ranges::find(prefixes, with.substr(0, extra)) != prefixes.end();
  return with.starts_with(bare) && with.substr(bare.size()).starts_with("less");
}

std::optional<std::string> denied_by_its_form(const wording& a, const wording& b) {
  for (const auto& mine : a.content) {
    if (std::ranges::binary_search(b.content, mine))
      continue;
    for (const auto& theirs : b.content)
      if (denies_word(mine, theirs) && !std::ranges::binary_search(a.content, theirs))
        return mine + " against " + theirs;
  }
  return std::nullopt;
}

} // namespace

void drop_idle_negations(std::vector<word>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i].text != "not" || !denies(words[i]))
      continue;
    const bool last = i + 1 == words.size() || words[i].ends_clause;
    const bool behind_or = i > 0 && words[i - 1].text == "or";
    const bool whether = i > 1 && words[i - 2].text == "whether";
    const bool only = !last && words[i + 1].text == "only";
    if ((behind_or && (last || whether)) || only)
      make_plain(words[i]);
  }
  drop_tag(words);
}

std::optional<std::string> negation_differs(const wording& a, const wording& b) {
  // How many, not which: "don't" and "do not" say the same.
  if (a.negations.size() != b.negations.size())
    return against(a.negations, b.negations);
  if (auto found = denied_by_its_form(a, b))
    return found;
  if (auto found = denied_by_its_form(b, a))
    return found;
  if (a.negations.empty())
    return std::nullopt;
  // "Why doesn't the pump start" denies the pump in form only: words have to have changed sides
  // both ways.
  const auto left = scopes_of(a), right = scopes_of(b);
  const auto mine = denied_here_only(left, right), theirs = denied_here_only(right, left);
  if (mine && theirs)
    return "not " + *mine + " against not " + *theirs;
  return std::nullopt;
}

} // namespace bitnetd::actors
