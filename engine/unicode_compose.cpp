// SPDX-License-Identifier: MIT
#include "engine/unicode_compose.h"

#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

namespace bitnetd::engine {

namespace {

/// point = first + second; second is 0 where a character only stands for another one.
struct decomposition {
  char32_t point, first, second;
  bool composes; ///< first + second = point as well
};

constexpr decomposition decompositions[] = {
#define BITNETD_DECOMPOSITION_TABLE
#include "engine/unicode_compose_table.inc"
#undef BITNETD_DECOMPOSITION_TABLE
};

struct combining_range {
  char32_t first, last;
  std::uint8_t combining_class;
};

constexpr combining_range combining_ranges[] = {
#define BITNETD_COMBINING_TABLE
#include "engine/unicode_compose_table.inc"
#undef BITNETD_COMBINING_TABLE
};

/// Below it no character decomposes to anything that is not composed again, and none combines.
constexpr char32_t first_that_may_change = 0x300;
/// What stands for byte b of a text where it is no UTF-8: beyond all characters.
constexpr char32_t raw_byte = 0x110000;

struct mark {
  char32_t point;
  std::uint8_t combining_class; ///< 0: not a mark, stays where it is
};

std::uint8_t combining_class(char32_t point) {
  if (point < first_that_may_change)
    return 0;
  const auto* range =
      std::lower_bound(std::begin(combining_ranges), std::end(combining_ranges), point,
                       [](const combining_range& r, char32_t value) { return r.last < value; });
  return range != std::end(combining_ranges) && point >= range->first ? range->combining_class : 0;
}

// Korean syllables are computed, not listed (The Unicode Standard, section 3.12).
constexpr char32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161, tails = 0x11A7;
constexpr char32_t n_leads = 19, n_vowels = 21, n_tails = 28;

void decompose(char32_t point, std::vector<mark>& out) {
  if (point >= syllables && point < syllables + n_leads * n_vowels * n_tails) {
    const auto index = point - syllables;
    out.push_back({leads + index / (n_vowels * n_tails), 0});
    out.push_back({vowels + index % (n_vowels * n_tails) / n_tails, 0});
    if (index % n_tails != 0)
      out.push_back({tails + index % n_tails, 0});
    return;
  }
  const auto* found =
      std::lower_bound(std::begin(decompositions), std::end(decompositions), point,
                       [](const decomposition& d, char32_t value) { return d.point < value; });
  if (found == std::end(decompositions) || found->point != point) {
    out.push_back({point, combining_class(point)});
    return;
  }
  decompose(found->first, out); // a few levels deep
  if (found->second != 0)
    decompose(found->second, out);
}

/// The character that two make, or 0.
char32_t composed(char32_t first, char32_t second) {
  if (first >= leads && first < leads + n_leads && second >= vowels && second < vowels + n_vowels)
    return syllables + ((first - leads) * n_vowels + (second - vowels)) * n_tails;
  if (first >= syllables && first < syllables + n_leads * n_vowels * n_tails &&
      (first - syllables) % n_tails == 0 && second > tails && second < tails + n_tails)
    return first + (second - tails);
  static const auto pairs = [] {
    std::vector<decomposition> list;
    std::copy_if(std::begin(decompositions), std::end(decompositions), std::back_inserter(list),
                 [](const decomposition& d) { return d.composes; });
    std::sort(list.begin(), list.end(), [](const decomposition& a, const decomposition& b) {
      return std::pair{a.first, a.second} < std::pair{b.first, b.second};
    });
    return list;
  }();
  const auto found = std::lower_bound(pairs.begin(), pairs.end(), std::pair{first, second},
                                      [](const decomposition& d, const auto& pair) {
                                        return std::pair{d.first, d.second} < pair;
                                      });
  return found != pairs.end() && found->first == first && found->second == second ? found->point
                                                                                  : 0;
}

std::vector<mark> decomposed(std::string_view text) {
  std::vector<mark> out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto point = utf8_decode(text.substr(at));
    if (point.valid)
      decompose(point.value, out);
    else
      out.push_back({raw_byte + static_cast<unsigned char>(text[at]), 0});
    at += point.size;
  }
  return out;
}

/// Marks in a row stand in the order of their classes.
void sort_marks(std::vector<mark>& points) {
  const auto is_mark = [](const mark& m) { return m.combining_class != 0; };
  for (auto from = points.begin(); from != points.end();) {
    from = std::find_if(from, points.end(), is_mark);
    const auto to = std::find_if_not(from, points.end(), is_mark);
    std::stable_sort(from, to, [](const mark& a, const mark& b) {
      return a.combining_class < b.combining_class;
    });
    from = to;
  }
}

/// Puts every mark into the last starter, unless a mark of the same or a higher class that stayed
/// stands between.
void compose(std::vector<mark>& points) {
  constexpr auto none = static_cast<std::size_t>(-1);
  std::size_t size = 0, starter = none;
  for (const auto& next : points) {
    if (starter != none) {
      const bool adjacent = size == starter + 1;
      const auto before = points[size - 1].combining_class;
      if (adjacent || (before != 0 && before < next.combining_class))
        if (const auto both = composed(points[starter].point, next.point)) {
          points[starter].point = both;
          continue;
        }
    }
    if (next.combining_class == 0)
      starter = size;
    points[size++] = next;
  }
  points.resize(size);
}

void append_utf8(std::string& out, char32_t point) {
  const auto byte = [&](char32_t value) { out += static_cast<char>(value); };
  if (point >= raw_byte) {
    byte(point - raw_byte);
  } else if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xC0 | point >> 6);
    byte(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    byte(0xE0 | point >> 12);
    byte(0x80 | (point >> 6 & 0x3F));
    byte(0x80 | (point & 0x3F));
  } else {
    byte(0xF0 | point >> 18);
    byte(0x80 | (point >> 12 & 0x3F));
    byte(0x80 | (point >> 6 & 0x3F));
    byte(0x80 | (point & 0x3F));
  }
}

} // namespace

std::string compose_nfc(std::string_view text) {
  // Lead bytes below 0xCC: characters below U+0300 (or no UTF-8 at all), which stay as they are.
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0xCC; }))
    return std::string{text};
  auto points = decomposed(text);
  sort_marks(points);
  compose(points);
  std::string out;
  out.reserve(text.size());
  for (const auto& one : points)
    append_utf8(out, one.point);
  return out;
}

} // namespace bitnetd::engine
