// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/stream.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <random>
#include <set>

namespace bitnetd::bench {
namespace {

using generator = std::mt19937_64;

// The standard's distributions differ between libraries: these do not.
std::size_t below(generator& random, std::size_t n) { return random() % n; }
double unit(generator& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

std::string value_for(const family_file& from, const slot& slot, generator& random) {
  if (slot.is_number())
    return std::to_string(
        slot.from +
        static_cast<int>(below(random, static_cast<std::size_t>(slot.to - slot.from + 1))));
  const auto& words = from.lists[slot.list].words;
  return words[below(random, words.size())];
}

/// Exchangeable values in order, so that equal meaning is equal.
intent canonical(const family_file& from, intent what) {
  const auto& sense = from.families[what.family].senses[what.sense];
  if (sense.exchangeable) {
    auto& a = what.values[sense.same.first];
    auto& b = what.values[sense.same.second];
    if (b < a)
      std::swap(a, b);
  }
  return what;
}

bool has_equal_values(const intent& what) {
  const std::set<std::string> all(what.values.begin(), what.values.end());
  return all.size() != what.values.size();
}

intent draw_intent(const family_file& from, generator& random) {
  intent out;
  out.family = below(random, from.families.size());
  const auto& family = from.families[out.family];
  do {
    out.values.clear();
    for (const auto& slot : family.slots)
      out.values.push_back(value_for(from, slot, random));
  } while (has_equal_values(out)); // "from Rome to Rome" asks nothing
  return canonical(from, std::move(out));
}

/// The same with one thing changed.
intent near_miss_of(const family_file& from, const intent& what, generator& random) {
  const auto& family = from.families[what.family];
  for (int attempt = 0; attempt < 50; ++attempt) {
    auto out = what;
    const auto choice = below(random, family.slots.size() + family.senses.size());
    if (choice < family.slots.size()) {
      out.values[choice] = value_for(from, family.slots[choice], random);
    } else if (choice == family.slots.size() && family.slots.size() > 1) {
      std::swap(out.values[below(random, out.values.size())],
                out.values[below(random, out.values.size())]);
      for (std::size_t i = 0; i < family.slots.size(); ++i)
        if (out.values[i] != what.values[i])
          for (std::size_t j = 0; j < family.slots.size(); ++j)
            if (i != j && out.values[i] == what.values[j] &&
                family.slots[i].list != family.slots[j].list)
              out = what; // values of different kinds do not change places
    } else {
      out.sense = below(random, family.senses.size());
    }
    out = canonical(from, std::move(out));
    if (out != what && !has_equal_values(out))
      return out;
  }
  return draw_intent(from, random);
}

std::string filled(const family_file& from, const intent& what, std::string wording,
                   generator& random) {
  const auto& family = from.families[what.family];
  auto values = what.values;
  const auto& sense = family.senses[what.sense];
  if (sense.exchangeable && random() % 2 == 0)
    std::swap(values[sense.same.first], values[sense.same.second]);
  for (std::size_t i = 0; i < family.slots.size(); ++i) {
    const auto hole = "{" + family.slots[i].name + "}";
    for (auto at = wording.find(hole); at != std::string::npos; at = wording.find(hole))
      wording.replace(at, hole.size(), values[i]);
  }
  return wording;
}

/// Exchanges two letters inside a long lower-case word: never a number, name or quotation.
std::string with_typo(std::string text, generator& random) {
  std::vector<std::size_t> places;
  const auto lower = [&](std::size_t i) {
    return i < text.size() && std::islower(static_cast<unsigned char>(text[i])) != 0;
  };
  bool quoted = false;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && text[end] != ' ')
      ++end;
    quoted = quoted != (std::count(text.begin() + static_cast<std::ptrdiff_t>(i),
                                   text.begin() + static_cast<std::ptrdiff_t>(end), '"') == 1);
    bool plain = !quoted && end - i >= 6;
    for (auto k = i; k < end && plain; ++k)
      plain = lower(k);
    if (plain)
      places.push_back(i + 1 + below(random, end - i - 3));
    i = end + 1;
  }
  if (places.empty())
    return text;
  const auto at = places[below(random, places.size())];
  std::swap(text[at], text[at + 1]);
  return text;
}

std::string with_noise(std::string text, generator& random) {
  switch (below(random, 6)) {
  case 0:
    return "Please tell me: " + text;
  case 1:
    return "Hi! " + text;
  case 2:
    if (text.back() == '?' || text.back() == '.')
      text.pop_back();
    return text;
  case 3:
    if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[0])) != 0 &&
        std::islower(static_cast<unsigned char>(text[1])) != 0)
      text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    return text;
  case 4:
    return text + " Thanks!";
  default:
    return with_typo(std::move(text), random);
  }
}

} // namespace

stream make_stream(const family_file& from, const stream_options& options) {
  generator random(options.seed);
  stream out;
  std::map<intent, std::size_t> known;
  const auto index_of = [&](const intent& what) {
    const auto [at, fresh] = known.try_emplace(what, out.intents.size());
    if (fresh)
      out.intents.push_back(what);
    return at->second;
  };

  std::vector<intent> popular;
  std::vector<double> cumulative;
  double sum = 0;
  for (std::size_t rank = 1; rank <= options.popular; ++rank) {
    popular.push_back(draw_intent(from, random));
    cumulative.push_back(sum += std::pow(static_cast<double>(rank), -options.zipf));
  }
  const auto draw_popular = [&]() -> const intent& {
    const auto at = std::ranges::lower_bound(cumulative, unit(random) * sum);
    return popular[static_cast<std::size_t>(at - cumulative.begin())];
  };

  for (std::size_t i = 0; i < options.requests; ++i) {
    const auto share = unit(random);
    const auto what = share < options.near_miss ? near_miss_of(from, draw_popular(), random)
                      : share < options.near_miss + options.novel ? draw_intent(from, random)
                                                                  : draw_popular();
    const auto& wordings = from.families[what.family].senses[what.sense].wordings;
    auto text = filled(from, what, wordings[below(random, wordings.size())], random);
    if (unit(random) < options.noise)
      text = with_noise(std::move(text), random);
    out.requests.push_back({index_of(what), std::move(text)});
  }
  return out;
}

std::string difference(const family_file& from, const intent& a, const intent& b) {
  if (a.family != b.family)
    return "unrelated";
  const auto& family = from.families[a.family];
  if (a.sense != b.sense) {
    if (a.values != b.values)
      return "several";
    return family.senses[std::max(a.sense, b.sense)].kind;
  }
  auto sorted_a = a.values, sorted_b = b.values;
  std::ranges::sort(sorted_a);
  std::ranges::sort(sorted_b);
  if (sorted_a == sorted_b)
    return "order";
  std::string kind;
  for (std::size_t i = 0; i < family.slots.size(); ++i) {
    if (a.values[i] == b.values[i])
      continue;
    if (!kind.empty())
      return "several";
    kind = family.slots[i].is_number() ? "number" : from.lists[family.slots[i].list].kind;
  }
  return kind;
}

} // namespace bitnetd::bench
