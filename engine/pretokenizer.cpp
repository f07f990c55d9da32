// SPDX-License-Identifier: MIT
#include "engine/pretokenizer.h"

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

/// Falcon's last stage: every three ASCII digits in a row, from the left, become a piece.
void cut_digits(std::string_view piece, std::vector<std::string_view>& out) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t from = 0;
  for (std::size_t at = 0; at + 3 <= piece.size();) {
    if (!is_digit(piece[at]) || !is_digit(piece[at + 1]) || !is_digit(piece[at + 2])) {
      ++at;
      continue;
    }
    if (at > from)
      out.push_back(piece.substr(from, at - from));
    out.push_back(piece.substr(at, 3));
    from = at += 3;
  }
  if (from < piece.size())
    out.push_back(piece.substr(from));
}

std::vector<std::string_view> split_falcon(std::string_view text) {
  std::vector<std::string_view> out;
  const auto plain = [](const text_char& c) { return !is_falcon_punctuation(c); };
  for (std::size_t at = 0; at < text.size();) {
    auto end = skip(text, at, is_falcon_punctuation);
    if (end == at)
      end = skip(text, at, plain);
    const auto stretch = text.substr(at, end - at); // \s+(?!\S) sees the end of a stretch as an end
    for (std::size_t i = 0; i < stretch.size();) {
      const auto next = gpt2_piece(stretch, i);
      cut_digits(stretch.substr(i, next - i), out);
      i = next;
    }
    at = end;
  }
  return out;
}

} // namespace

std::vector<std::string_view> split_words(std::string_view text, split_rules rules) {
  if (rules == split_rules::falcon)
    return split_falcon(text);
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = rules == split_rules::gpt2     ? gpt2_piece(text, at)
                     : rules == split_rules::llama3 ? llama3_piece(text, at, 3)
                                                    : llama3_piece(text, at, 1);
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

} // namespace bitnetd::engine
