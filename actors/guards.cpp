// SPDX-License-Identifier: MIT
#include "actors/guards.h"

#include "actors/negation.h"
#include "actors/word_lists.h"
#include "base/utf8.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace bitnetd::actors {

namespace {

using texts = std::vector<std::string>;

texts only_in(const texts& a, const texts& b) {
  texts out;
  std::ranges::set_difference(a, b, std::back_inserter(out));
  return out;
}

std::optional<std::string> differ(const texts& a, const texts& b) {
  if (a == b)
    return std::nullopt;
  return against(only_in(a, b), only_in(b, a));
}

std::optional<std::string> numbers(const wording& a, const wording& b) {
  return differ(a.numbers, b.numbers);
}

std::optional<std::string> literals(const wording& a, const wording& b) {
  return differ(a.literals, b.literals);
}

/// Units that stand behind a number, and those that do not; sorted, once each.
struct unit_parts {
  texts counted, asked_for;
};

unit_parts units_of(const wording& text) {
  std::set<std::string> counted, asked_for;
  const word* before = nullptr;
  for (const auto& one : text.words) {
    if (one.kind == word_kind::unit)
      (before != nullptr && before->kind == word_kind::number ? counted : asked_for)
          .insert(one.text);
    before = &one;
  }
  return {{counted.begin(), counted.end()}, {asked_for.begin(), asked_for.end()}};
}

std::optional<std::string> units(const wording& a, const wording& b) {
  const auto left = units_of(a), right = units_of(b);
  if (auto found = differ(left.counted, right.counted))
    return found;
  // "How far" and "how many kilometres" may ask the same; what a measure is converted to may not
  // differ.
  if (left.counted.empty() && (left.asked_for.empty() || right.asked_for.empty()))
    return std::nullopt;
  return differ(left.asked_for, right.asked_for);
}

bool is_part_of(const word& one, const wording& text) {
  return std::ranges::any_of(text.words, [&](const word& other) {
    return (other.kind == word_kind::content || other.kind == word_kind::name) &&
           other.key == one.key;
  });
}

/// Whether the text writes this thing as a name or a literal.
bool is_named(const wording& text, const std::string& thing) {
  return std::ranges::any_of(text.words, [&](const word& one) {
    return (one.kind == word_kind::name || one.kind == word_kind::literal) && one.key == thing;
  });
}

/// A name of one must be a word of the other, capitalised or not.
std::optional<std::string> names(const wording& a, const wording& b) {
  const auto missing = [](const wording& from, const wording& in) {
    texts out;
    for (const auto& one : from.words)
      if (one.kind == word_kind::name && !is_part_of(one, in))
        out.push_back(one.text);
    return out;
  };
  const auto left = missing(a, b), right = missing(b, a);
  if (left.empty() && right.empty())
    return std::nullopt;
  return against(left, right);
}

std::optional<std::string> opposites(const wording& a, const wording& b) {
  const auto one_sided = [](const wording& x, const wording& y) -> std::optional<std::string> {
    for (const auto& mine : x.content) {
      if (!has_opposite(mine) || std::ranges::binary_search(y.content, mine))
        continue;
      for (const auto& theirs : y.content)
        if (are_opposites(mine, theirs))
          return mine + " against " + theirs;
    }
    return std::nullopt;
  };
  if (auto found = one_sided(a, b))
    return found;
  return one_sided(b, a);
}

/// What can change places with what: numbers with numbers, names with names, quotations with
/// quotations.
enum class sort : std::uint8_t { number, unit, named, literal };

/// A thing that plays a part, and the part: what stands before it.
struct part {
  std::string thing, role;
  sort what = sort::named;
  std::string text; ///< as it is shown
};

bool is_thing(word_kind kind) noexcept {
  return kind == word_kind::number || kind == word_kind::unit || kind == word_kind::name ||
         kind == word_kind::literal;
}

sort sort_of(word_kind kind) noexcept {
  switch (kind) {
  case word_kind::number:
    return sort::number;
  case word_kind::unit:
    return sort::unit;
  case word_kind::literal:
    return sort::literal;
  default:
    return sort::named;
  }
}

constexpr std::string_view number_role = "of a number";

/// The things of a text in order. A content word directly behind "from", "to", "than" … is a thing
/// as well: names are often written small.
std::vector<part> parts_of(const wording& text, const wording& other) {
  std::vector<part> out;
  std::string role;
  for (const auto& one : text.words) {
    if (one.kind == word_kind::role) {
      role = one.text == "into" ? "to" : one.text;
      continue;
    }
    const bool thing = is_thing(one.kind) || (one.kind == word_kind::content &&
                                              (!role.empty() || is_part_of(one, other)));
    if (!thing) {
      if (one.kind != word_kind::plain)
        role.clear();
      continue;
    }
    const bool after_number = !out.empty() && out.back().what == sort::number;
    const auto what = sort_of(one.kind);
    out.push_back({one.key, what == sort::unit && after_number ? std::string(number_role) : role,
                   what, one.text});
    role.clear();
  }
  return out;
}

/// Things that each side names exactly once, as `side` has them.
std::vector<part> shared(const std::vector<part>& side, const std::vector<part>& other) {
  std::vector<part> out;
  for (const auto& one : side)
    if (std::ranges::count(side, one.thing, &part::thing) == 1 &&
        std::ranges::count(other, one.thing, &part::thing) == 1)
      out.push_back(one);
  return out;
}

/// Shared things in another order must play the same explicit parts; in the same order they may not
/// play contrary ones.
std::optional<std::string> order(const wording& a, const wording& b) {
  const auto left = parts_of(a, b), right = parts_of(b, a);
  const auto ours = shared(left, right), theirs = shared(right, left);
  const auto role_there = [&](const std::string& thing) {
    return std::ranges::find(theirs, thing, &part::thing)->role;
  };
  for (const auto& one : ours) {
    const auto role = role_there(one.thing);
    const bool contrary = !one.role.empty() && !role.empty() && one.role != role;
    // A unit that counts something here and is asked for there.
    const bool moved = (one.role == number_role) != (role == number_role);
    if (contrary || moved)
      return one.text + " plays another part";
  }
  if (a.is_symmetric && b.is_symmetric)
    return std::nullopt;
  for (const auto what : {sort::number, sort::named, sort::literal}) {
    const auto of_sort = [&](const part& one) {
      return one.what == what &&
             (what != sort::named || is_named(a, one.thing) || is_named(b, one.thing) ||
              !one.role.empty() || !role_there(one.thing).empty());
    };
    std::vector<part> mine, yours;
    std::ranges::copy_if(ours, std::back_inserter(mine), of_sort);
    for (const auto& one : theirs)
      if (std::ranges::find(mine, one.thing, &part::thing) != mine.end())
        yours.push_back(one);
    if (std::ranges::equal(mine, yours, {}, &part::thing, &part::thing))
      continue;
    for (const auto& one : mine)
      if (one.role.empty() || one.role != role_there(one.thing))
        return one.text + " stands in another place";
  }
  return std::nullopt;
}

std::optional<std::string> format(const wording& a, const wording& b) {
  return differ(a.formats, b.formats);
}

std::optional<std::string> asks(const wording& a, const wording& b) {
  if (a.asks == b.asks)
    return std::nullopt;
  return against(a.asks.empty() ? texts{} : texts{a.asks},
                 b.asks.empty() ? texts{} : texts{b.asks});
}

/// Content words and things in order: `key` to compare, `text` to show.
std::vector<part> skeleton_of(const wording& text) {
  std::vector<part> out{{"<", {}, {}, {}}};
  for (const auto& one : text.words)
    if (one.kind == word_kind::content || is_thing(one.kind))
      out.push_back({one.key, {}, {}, one.text});
  out.push_back({">", {}, {}, {}});
  return out;
}

/// One word in another's place: what stands before and behind it stayed the same.
std::optional<std::string> replaced(const wording& a, const wording& b) {
  const auto left = skeleton_of(a), right = skeleton_of(b);
  const auto is_in = [](const std::vector<part>& all, const part& one) {
    return std::ranges::find(all, one.thing, &part::thing) != all.end();
  };
  for (std::size_t i = 1; i + 1 < left.size(); ++i) {
    if (is_in(right, left[i]))
      continue;
    for (std::size_t j = 1; j + 1 < right.size(); ++j)
      if (left[i - 1].thing == right[j - 1].thing && left[i + 1].thing == right[j + 1].thing &&
          !is_in(left, right[j]))
        return left[i].text + " against " + right[j].text;
  }
  return std::nullopt;
}

/// Words that only one of them has, on both sides: for an embedder that knows words and not their
/// meaning.
std::optional<std::string> words(const wording& a, const wording& b) {
  const auto left = skeleton_of(a), right = skeleton_of(b);
  const auto missing = [](const std::vector<part>& from, const std::vector<part>& in) {
    texts out;
    for (const auto& one : from)
      if (std::ranges::find(in, one.thing, &part::thing) == in.end())
        out.push_back(one.text);
    return out;
  };
  const auto ours = missing(left, right), theirs = missing(right, left);
  if (ours.empty() || theirs.empty())
    return std::nullopt;
  return against(ours, theirs);
}

std::optional<std::string> length(const wording& a, const wording& b) {
  const auto carrying = [](const wording& of) {
    return static_cast<std::size_t>(std::ranges::count_if(
        of.words, [](const word& one) { return one.kind != word_kind::plain; }));
  };
  const auto n = carrying(a), m = carrying(b);
  const auto shorter = std::min(n, m), longer = std::max(n, m);
  if (longer <= 6 || longer <= 2 * shorter)
    return std::nullopt;
  return std::to_string(n) + " against " + std::to_string(m) + " words";
}

std::optional<std::string> language(const wording& a, const wording& b) {
  if (a.scripts != b.scripts)
    return "another script";
  if (!a.tongue.empty() && !b.tongue.empty() && a.tongue != b.tongue)
    return a.tongue + " against " + b.tongue;
  return std::nullopt;
}

std::optional<std::string> volatility(const wording& a, const wording& b) {
  if (!a.is_volatile && !b.is_volatile)
    return std::nullopt;
  return a.is_volatile == b.is_volatile ? "both speak of now" : "one of them speaks of now";
}

/// A veto is shown to people: a quoted novel is not.
std::string shortened(std::string why) {
  constexpr std::size_t most = 160;
  if (why.size() > most) {
    why.resize(utf8_complete_prefix(std::string_view(why).substr(0, most)));
    why += "…";
  }
  return why;
}

struct named_guard {
  guard which;
  std::string_view name;
  std::optional<std::string> (*check)(const wording&, const wording&);
};

constexpr std::array<named_guard, n_guards> guards{{{guard::numbers, "numbers", numbers},
                                                    {guard::negation, "negation", negation_differs},
                                                    {guard::literals, "literals", literals},
                                                    {guard::units, "units", units},
                                                    {guard::names, "names", names},
                                                    {guard::opposites, "opposites", opposites},
                                                    {guard::order, "order", order},
                                                    {guard::format, "format", format},
                                                    {guard::asks, "asks", asks},
                                                    {guard::replaced, "replaced", replaced},
                                                    {guard::length, "length", length},
                                                    {guard::language, "language", language},
                                                    {guard::volatility, "volatility", volatility},
                                                    {guard::words, "words", words}}};

} // namespace

std::string_view to_string(guard which) noexcept {
  return guards[static_cast<std::size_t>(which)].name;
}

std::optional<veto> find_veto(const wording& a, const wording& b, bool embedder_knows_meaning) {
  for (const auto& one : guards)
    if (one.which == guard::words && embedder_knows_meaning)
      continue;
    else if (auto why = one.check(a, b))
      return veto{one.which, shortened(std::move(*why))};
  return std::nullopt;
}

} // namespace bitnetd::actors
