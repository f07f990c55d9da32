// SPDX-License-Identifier: MIT
#include "actors/wording.h"

#include "actors/negation.h"
#include "actors/word_lists.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace bitnetd::actors {

namespace {

bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) noexcept {
  return is_upper(c) || is_lower(c) || static_cast<unsigned char>(c) >= 0x80;
}
bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string lowered(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (is_upper(c))
      c = static_cast<char>(c + 32);
  return out;
}

/// Writing systems by ranges of code points; enough to tell that two texts differ.
std::uint32_t scripts_of(std::string_view text) noexcept {
  constexpr std::array<std::pair<char32_t, char32_t>, 9> ranges{{{0x41, 0x24f},
                                                                 {0x370, 0x3ff},
                                                                 {0x400, 0x52f},
                                                                 {0x590, 0x5ff},
                                                                 {0x600, 0x6ff},
                                                                 {0x900, 0xdff},
                                                                 {0x3040, 0x30ff},
                                                                 {0x4e00, 0x9fff},
                                                                 {0xac00, 0xd7af}}};
  std::uint32_t out = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto point = utf8_decode(text.substr(at));
    at += std::max<std::size_t>(point.size, 1);
    const auto ascii = point.value < 0x80;
    if (!point.valid || (ascii && !is_letter(static_cast<char>(point.value))))
      continue;
    for (std::size_t i = 0; i < ranges.size(); ++i)
      if (point.value >= ranges[i].first && point.value <= ranges[i].second)
        out |= 1u << i;
  }
  return out;
}

/// "1,234.50" -> "1234.5": separators of thousands and zeros that mean nothing go.
std::string normal_number(std::string_view digits) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool thousands =
        digits[i] == ',' && i + 3 < digits.size() &&
        std::all_of(digits.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                    digits.begin() + static_cast<std::ptrdiff_t>(i) + 4, is_digit) &&
        (i + 4 == digits.size() || !is_digit(digits[i + 4]));
    if (!thousands)
      out += digits[i];
  }
  while (!out.empty() && (out.back() == '.' || out.back() == ','))
    out.pop_back();
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.')
      out.pop_back();
  }
  const auto first = out.find_first_not_of('0');
  if (first == std::string::npos)
    return out.empty() ? "" : "0";
  return out[first] == '.' ? '0' + out.substr(first) : out.substr(first);
}

/// A bare token (between spaces, without punctuation at its ends) that means itself letter by
/// letter: an option, path, address, identifier or URL.
bool is_literal(std::string_view token) noexcept {
  if (token.size() < 2)
    return false;
  if (token.starts_with("--") || (token[0] == '-' && is_letter(token[1])))
    return true;
  if (token.find("://") != std::string_view::npos || token.find("::") != std::string_view::npos ||
      token.find('_') != std::string_view::npos || token.find("()") != std::string_view::npos)
    return true;
  const auto at = token.find('@');
  if (at != std::string_view::npos && at > 0 && at + 1 < token.size())
    return true;
  const auto slash = token.find('/');
  if (slash != std::string_view::npos && !unit_of(lowered(token)))
    return true;
  // a.b with letters on both sides: a file or a member; "e.g." has a dot at its end
  const auto dot = token.find('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < token.size() &&
         is_letter(token[dot - 1]) && is_letter(token[dot + 1]) && token.back() != '.';
}

class reader {
public:
  explicit reader(std::string_view text) : text_(text) {}

  wording run() {
    while (at_ < text_.size()) {
      if (is_space(text_[at_]))
        ++at_;
      else if (!quoted())
        token();
    }
    finish();
    return std::move(out_);
  }

private:
  void add(std::string text, word_kind kind) {
    out_.words.push_back({std::move(text), kind, {}, false});
  }

  /// A quotation or a piece of code is taken whole.
  bool quoted() {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 5> marks{
        {{"```", "```"}, {"`", "`"}, {"\"", "\""}, {"\u201c", "\u201d"}, {"\u00ab", "\u00bb"}}};
    for (const auto& [open, close] : marks) {
      if (!text_.substr(at_).starts_with(open))
        continue;
      const auto from = at_ + open.size(), to = text_.find(close, from);
      if (to == std::string_view::npos)
        continue;
      add(std::string(text_.substr(from, to - from)), word_kind::literal);
      at_ = to + close.size();
      first_ = false;
      return true;
    }
    return false;
  }

  /// The next piece up to a space, without punctuation around it.
  void token() {
    auto end = at_ + 1; // a quotation mark without its partner is passed over
    while (end < text_.size() && !is_space(text_[end]) && text_[end] != '"' && text_[end] != '`')
      ++end;
    auto piece = text_.substr(at_, end - at_);
    at_ = end;
    constexpr std::string_view around = "()[]{}<>,;:!?'*\"`";
    while (!piece.empty() && around.find(piece.front()) != std::string_view::npos)
      piece.remove_prefix(1);
    bool ends_sentence = false, ends_clause = piece.empty();
    while (!piece.empty() &&
           (around.find(piece.back()) != std::string_view::npos || piece.back() == '.')) {
      const auto last = piece.back();
      if (last == ')' && piece.size() > 2 && piece[piece.size() - 2] == '(')
        break; // call()
      ends_sentence |= last == '.' || last == '!' || last == '?' || last == ':';
      ends_clause |= last == ',' || last == ';' || last == ')';
      piece.remove_suffix(1);
    }
    if (!piece.empty())
      classify(piece);
    if (!out_.words.empty())
      out_.words.back().ends_clause |= ends_clause || ends_sentence;
    if (ends_sentence)
      first_ = true;
  }

  void classify(std::string_view piece) {
    const bool first = std::exchange(first_, false);
    if (is_literal(piece))
      return add(std::string(piece), word_kind::literal);
    if (is_digit(piece.front()) ||
        ((piece.front() == '-' || piece.front() == '+' || piece.front() == '$') &&
         piece.size() > 1 && is_digit(piece[1])))
      return numeric(piece);
    const auto hyphen = piece.find('-');
    if (hyphen != std::string_view::npos && hyphen > 0 && hyphen + 1 < piece.size()) {
      classify(piece.substr(0, hyphen));
      return classify(piece.substr(hyphen + 1));
    }
    word_of(piece, first);
  }

  /// "5pm" -> 5, pm; "15%" -> 15, percent; "3/4" and "10-20" number by number.
  void numeric(std::string_view piece) {
    std::size_t i = 0;
    while (i < piece.size()) {
      const char c = piece[i];
      if (is_digit(c)) {
        auto end = i;
        while (end < piece.size() &&
               (is_digit(piece[end]) || ((piece[end] == '.' || piece[end] == ',') &&
                                         end + 1 < piece.size() && is_digit(piece[end + 1]))))
          ++end;
        const bool minus = i > 0 && piece[i - 1] == '-' && i == 1;
        add((minus ? "-" : "") + normal_number(piece.substr(i, end - i)), word_kind::number);
        i = end;
      } else if (is_letter(c)) {
        auto end = i;
        while (end < piece.size() && !is_digit(piece[end]))
          ++end;
        const auto rest = lowered(piece.substr(i, end - i));
        if (const auto unit = unit_of(rest))
          add(std::string(*unit), word_kind::unit);
        else
          add(rest, word_kind::name); // "4k", "3rd": belongs to the number, letter by letter
        i = end;
      } else {
        if (c == '%')
          add("percent", word_kind::unit);
        if (c == '$')
          add("dollar", word_kind::unit);
        ++i;
      }
    }
  }

  void word_of(std::string_view piece, bool first) {
    auto lower = lowered(piece);
    for (auto at = lower.find("\u2019"); at != std::string::npos; at = lower.find("\u2019"))
      lower.replace(at, 3, "'"); // the apostrophe of printed texts
    lower = std::string(without_slip(lower));
    bool has_digit = false, all_upper = piece.size() > 1;
    for (const char c : piece) {
      has_digit |= is_digit(c);
      all_upper &= is_upper(c) || is_digit(c);
    }
    if (is_volatile_word(lower))
      out_.is_volatile = true;
    if (const auto format = format_of(lower)) {
      out_.formats.emplace_back(*format);
      return add(std::string(*format), word_kind::content);
    }
    if (is_negation(lower))
      return add(std::move(lower), word_kind::negation);
    if (const auto unit = unit_of(lower);
        unit && piece.size() > 1 && (!all_upper || lower == "am" || lower == "pm")) {
      // "am" is a unit after a number, a form of "to be" elsewhere.
      const bool counted = !out_.words.empty() && out_.words.back().kind == word_kind::number;
      if (counted || (lower != "am" && !only_counts(*unit)))
        return add(std::string(*unit), word_kind::unit);
    }
    if (auto number = number_word(lower); number && !first)
      return add(std::move(*number), word_kind::number);
    if (is_role_word(lower))
      return add(std::move(lower), word_kind::role);
    if (lower == "+" || is_symmetric_word(lower))
      out_.is_symmetric = true;
    if (lower == "+")
      return add("add", word_kind::content);
    if (lower == "-")
      return add("minus", word_kind::role);
    if (lower == "on" || lower == "off")
      return add(std::move(lower), word_kind::content);
    if (out_.asks.empty() && (lower == "why" || lower == "who"))
      out_.asks = lower;
    if (is_plain_word(lower))
      return add(std::move(lower), word_kind::plain);
    if (has_digit || (all_upper && piece.size() > 1) || (is_upper(piece.front()) && !first))
      return add(std::move(lower), word_kind::name);
    add(std::string(folded(stem(lower))), word_kind::content);
  }

  static std::string key_of(const word& one) {
    switch (one.kind) {
    case word_kind::name:
      return slip_key(folded(stem(one.text)));
    case word_kind::content:
      return slip_key(one.text);
    default:
      return one.text;
    }
  }

  void finish() {
    join_switches();
    drop_idle_negations(out_.words);
    for (auto& one : out_.words)
      one.key = key_of(one);
    std::map<std::string_view, int> tongue_votes;
    for (const auto& one : out_.words) {
      switch (one.kind) {
      case word_kind::number:
        out_.numbers.push_back(one.text);
        break;
      case word_kind::unit:
        out_.units.push_back(one.text);
        break;
      case word_kind::name:
        out_.names.push_back(one.text);
        break;
      case word_kind::literal:
        out_.literals.push_back(one.text);
        break;
      case word_kind::negation:
        out_.negations.push_back(one.text);
        break;
      case word_kind::content:
        out_.content.push_back(one.text);
        break;
      case word_kind::plain:
      case word_kind::role:
        break;
      }
      if (const auto tongue = tongue_of(one.text); !tongue.empty())
        ++tongue_votes[tongue];
    }
    for (auto* list : {&out_.numbers, &out_.units, &out_.names, &out_.literals, &out_.negations,
                       &out_.content, &out_.formats})
      std::ranges::sort(*list);
    const auto repeated = std::ranges::unique(out_.formats);
    out_.formats.erase(repeated.begin(), repeated.end());
    for (const auto& [tongue, votes] : tongue_votes)
      if (votes >= 2 && votes > tongue_votes[out_.tongue])
        out_.tongue = tongue;
    out_.scripts = scripts_of(text_);
  }

  /// "turn on", "switch … on" and "enable" are one: on and off belong to their verb.
  void join_switches() {
    const auto verb = std::ranges::find_if(out_.words, [](const word& w) {
      return w.kind == word_kind::content && w.text == "switch";
    });
    if (verb == out_.words.end())
      return;
    const auto particle = std::ranges::find_if(out_.words, [](const word& w) {
      return w.kind == word_kind::content && (w.text == "on" || w.text == "off");
    });
    if (particle == out_.words.end())
      return;
    verb->text = "switch " + particle->text;
    particle->kind = word_kind::plain;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool first_ = true;
  wording out_;
};

} // namespace

wording wording_of(std::string_view text) { return reader(text).run(); }

std::string against(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto joined = [](const std::vector<std::string>& all) {
    std::string out;
    for (const auto& one : all)
      out += (out.empty() ? "" : " ") + one;
    return out.empty() ? "none" : out;
  };
  return joined(a) + " against " + joined(b);
}

namespace {

/// Each content word and where it stands first among them. Names count too: in one text they may
/// stand capitalised, in the other not.
std::map<std::string_view, std::size_t> content_words(const wording& of) {
  std::map<std::string_view, std::size_t> out; // no hash that crafted words could make slow
  for (const auto& one : of.words)
    if (one.kind == word_kind::content || one.kind == word_kind::name)
      out.try_emplace(one.key, out.size());
  return out;
}

/// How many of the places, ordered by the first, rise in the second too when as few as possible are
/// taken out: the longest increasing subsequence, by patience sorting.
std::size_t longest_rise(std::vector<std::pair<std::size_t, std::size_t>> places) {
  std::ranges::sort(places);
  std::vector<std::size_t> least_ends; // [k]: the least place that a rise of k + 1 ends with
  for (const auto& [_, place] : places) {
    const auto at = std::ranges::lower_bound(least_ends, place);
    if (at == least_ends.end())
      least_ends.push_back(place);
    else
      *at = place;
  }
  return least_ends.size();
}

} // namespace

word_difference difference_of(const wording& a, const wording& b) {
  const auto left = content_words(a), right = content_words(b);
  std::vector<std::pair<std::size_t, std::size_t>> shared; // where both have a word
  for (const auto& [word, place] : left)
    if (const auto found = right.find(word); found != right.end())
      shared.emplace_back(place, found->second);
  const auto only_left = left.size() - shared.size(), only_right = right.size() - shared.size();
  const auto replaced = std::min(only_left, only_right);
  return {replaced, std::max(only_left, only_right) - replaced,
          shared.size() - longest_rise(shared)};
}

} // namespace bitnetd::actors
