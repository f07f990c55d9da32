// SPDX-License-Identifier: MIT
#include "engine/pretokenizer.h"

#include "base/utf8.h"
#include "engine/unicode_class.h"

#include <cstddef>

namespace bitnetd::engine {

namespace {

/// End of the run of characters from `at` on for which `belongs` holds.
template <class Predicate>
std::size_t skip(std::string_view text, std::size_t at, Predicate belongs) {
  for (auto c = char_at(text, at); c.size != 0 && belongs(c); c = char_at(text, at))
    at += c.size;
  return at;
}

std::size_t skip_kind(std::string_view text, std::size_t at, char_class kind) {
  return skip(text, at, [kind](const text_char& c) { return c.kind == kind; });
}

std::size_t skip_symbols(std::string_view text, std::size_t at) {
  return skip(text, at, [](const text_char& c) { return c.is_symbol(); });
}

/// Bytes of an English contraction ('s, 't, 're, …) at `at`, or 0.
std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  if (text[at] != '\'')
    return 0;
  const auto letter = [&](std::size_t i) {
    const char c = at + i < text.size() ? text[at + i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return 2;
  const bool two =
      ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
  return two ? 3 : 0;
}

/// End of the piece that white space at `at` gives: \s*[\r\n]+ (if `newlines_bind`), else
/// \s+(?!\S), else \s+. The last space before a word is left for the word.
std::size_t white_space(std::string_view text, std::size_t at, bool newlines_bind) {
  std::size_t end = at, last = at, after_newline = at;
  for (auto c = char_at(text, at); c.kind == char_class::space; c = char_at(text, end)) {
    last = end;
    end += c.size;
    if (c.is_newline())
      after_newline = end;
  }
  if (newlines_bind && after_newline != at)
    return after_newline;
  return end == text.size() || last == at ? end : last;
}

/// End of the piece that starts at `at`, by the Llama-3 pattern.
std::size_t llama3_piece(std::string_view text, std::size_t at, int max_digits) {
  const auto first = char_at(text, at);
  const auto after = at + first.size;
  if (first.kind == char_class::invalid)
    return after;
  if (const auto size = contraction(text, at, true))
    return at + size;
  if (first.kind == char_class::number)
    return skip(text, at, [left = max_digits](const text_char& c) mutable {
      return c.kind == char_class::number && left-- > 0;
    });
  if (first.kind == char_class::letter ||
      (!first.is_newline() && char_at(text, after).kind == char_class::letter))
    return skip_kind(text, after, char_class::letter);
  const auto symbols = first.value == ' ' ? after : at;
  if (char_at(text, symbols).is_symbol())
    return skip(text, skip_symbols(text, symbols),
                [](const text_char& c) { return c.is_newline(); });
  return white_space(text, at, true);
}

/// End of the piece that starts at `at`, by the GPT-2 pattern.
std::size_t gpt2_piece(std::string_view text, std::size_t at) {
  const auto first = char_at(text, at);
  if (first.kind == char_class::invalid)
    return at + first.size;
  if (const auto size = contraction(text, at, false))
    return at + size;
  const auto body = first.value == ' ' ? at + 1 : at;
  const auto next = char_at(text, body);
  if (next.kind == char_class::letter || next.kind == char_class::number)
    return skip_kind(text, body, next.kind);
  if (next.is_symbol())
    return skip_symbols(text, body);
  return white_space(text, at, false);
}

bool is_falcon_punctuation(const text_char& c) {
  constexpr std::string_view also = "$+<=>^~|`";
  return c.kind == char_class::punctuation ||
         (c.value < 0x80 && c.size == 1 && c.kind == char_class::other &&
          also.find(static_cast<char>(c.value)) != std::string_view::npos);
}

/// Whether the letter of a byte in the byte alphabet is a number: 0-9, and ²³¹¼½¾ for themselves.
bool has_number_letter(char c) {
  constexpr std::string_view also = "\xB2\xB3\xB9\xBC\xBD\xBE";
  return is_digit(c) || also.find(c) != std::string_view::npos;
}

/// The last stage: every `group` ASCII digits in a row, from the left, become a piece.
void cut_groups(std::string_view piece, unsigned group, std::vector<std::string_view>& out) {
  std::size_t from = 0, digits = 0;
  for (std::size_t at = 0; at < piece.size() && group > 0; ++at) {
    digits = is_digit(piece[at]) ? digits + 1 : 0;
    if (digits < group)
      continue;
    const auto begin = at + 1 - group;
    if (begin > from)
      out.push_back(piece.substr(from, begin - from));
    out.push_back(piece.substr(begin, group));
    from = at + 1;
    digits = 0;
  }
  if (from < piece.size())
    out.push_back(piece.substr(from));
}

void cut_digits(std::string_view piece, const split_rules& rules,
                std::vector<std::string_view>& out) {
  if (rules.after == split_rules::digits::as_they_are) {
    cut_groups(piece, rules.group, out);
    return;
  }
  for (std::size_t at = 0; at < piece.size();) {
    auto end = at + 1;
    const bool number = has_number_letter(piece[at]);
    if (!number || rules.after == split_rules::digits::runs_apart)
      while (end < piece.size() && has_number_letter(piece[end]) == number)
        ++end;
    cut_groups(piece.substr(at, end - at), rules.group, out);
    at = end;
  }
}

std::size_t piece_end(std::string_view text, std::size_t at, split_rules::pattern words) {
  switch (words) {
  case split_rules::pattern::llama3:
    return llama3_piece(text, at, 3);
  case split_rules::pattern::qwen2:
    return llama3_piece(text, at, 1);
  default:
    return gpt2_piece(text, at);
  }
}

/// The pieces of a stretch whose end is the end of the text, as far as \s+(?!\S) can see.
void split_stretch(std::string_view stretch, const split_rules& rules,
                   std::vector<std::string_view>& out) {
  for (std::size_t at = 0; at < stretch.size();) {
    const auto end = piece_end(stretch, at, rules.words);
    cut_digits(stretch.substr(at, end - at), rules, out);
    at = end;
  }
}

} // namespace

std::vector<std::string_view> split_words(std::string_view text, const split_rules& rules) {
  std::vector<std::string_view> out;
  if (!rules.punctuation_first) {
    split_stretch(text, rules, out);
    return out;
  }
  const auto plain = [](const text_char& c) { return !is_falcon_punctuation(c); };
  for (std::size_t at = 0; at < text.size();) {
    auto end = skip(text, at, is_falcon_punctuation);
    if (end == at)
      end = skip(text, at, plain);
    split_stretch(text.substr(at, end - at), rules, out);
    at = end;
  }
  return out;
}

} // namespace bitnetd::engine
