// SPDX-License-Identifier: MIT
#include "engine/tokenizer_spm.h"

#include "engine/printable.h"
#include "engine/tokenizer_index.h"
#include "engine/unicode_class.h"

#include <algorithm>
#include <cmath>

namespace bitnetd::engine {

namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81"; // U+2581

std::string with_marks(std::string_view text, bool prefix) {
  std::string out{prefix ? space_mark : ""};
  for (const char c : text)
    if (c == ' ')
      out += space_mark;
    else
      out += c;
  return out;
}

std::string without_marks(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool mark = text.substr(at).starts_with(space_mark);
    out += mark ? ' ' : text[at];
    at += mark ? space_mark.size() : 1;
  }
  return out;
}

std::uint64_t pair_of(const text_char& left, const text_char& right) {
  return std::uint64_t{left.value} << 32 | right.value;
}

/// The value of "<0xNN>", or -1.
int parse_byte(std::string_view text) {
  const auto digit = [&](std::size_t i) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const char c = text[i] >= 'a' && text[i] <= 'f' ? static_cast<char>(text[i] - 32) : text[i];
    const auto at = digits.find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
  };
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>')
    return -1;
  return digit(3) < 0 || digit(4) < 0 ? -1 : digit(3) * 16 + digit(4);
}

} // namespace

void spm_tokenizer::choose_rules(const tokenizer_spec& spec) {
  name_ = "llama-spm";
  add_bos_ = true;
  add_space_prefix_ = spec.add_space_prefix.value_or(true);
  strip_leading_space_ = add_space_prefix_;
}

void spm_tokenizer::learn(const tokenizer_spec& spec) {
  learn_bytes(spec);
  learn_ranks(spec);
  learn_neighbours();
}

void spm_tokenizer::learn_bytes(const tokenizer_spec& spec) {
  byte_tokens_.fill(-1);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const auto value = parse_byte(texts_[i]);
    if (spec.kinds.empty() && value >= 0)
      kinds_[i] = token_kind::byte; // a file without kinds: the text says it
    if (kinds_[i] != token_kind::byte)
      continue;
    if (value < 0)
      refuse_tokenizer(spec, "tokens[" + std::to_string(i) + "]",
                       "a byte token must be spelled <0x00> to <0xFF>, got " +
                           printable(texts_[i]));
    auto& token = byte_tokens_[static_cast<std::size_t>(value)];
    if (token < 0)
      token = static_cast<token_id>(i);
  }
}

/// Scores become ranks, so that both kinds of tokenizer share one merger; equal scores, equal rank.
void spm_tokenizer::learn_ranks(const tokenizer_spec& spec) {
  if (spec.scores.empty())
    refuse_tokenizer(spec, "scores", "missing; a 'llama' vocabulary needs a score per token");
  for (std::size_t i = 0; i < spec.scores.size(); ++i)
    if (!std::isfinite(spec.scores[i]))
      refuse_tokenizer(spec, "scores[" + std::to_string(i) + "]", "not a finite number");
  std::vector<float> order(spec.scores.begin(), spec.scores.end());
  std::sort(order.begin(), order.end(), std::greater<>{});
  order.erase(std::unique(order.begin(), order.end()), order.end());
  ranks_.reserve(spec.scores.size());
  for (const float score : spec.scores) {
    const auto at = std::lower_bound(order.begin(), order.end(), score, std::greater<>{});
    ranks_.push_back(static_cast<std::uint32_t>(at - order.begin()));
  }
}

void spm_tokenizer::learn_neighbours() {
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    if (!is_plain(kinds_[i]))
      continue;
    longest_text_ = std::max(longest_text_, texts_[i].size());
    auto left = char_at(texts_[i], 0);
    for (std::size_t at = left.size; at < texts_[i].size();) {
      const auto right = char_at(texts_[i], at);
      neighbours_.insert(pair_of(left, right));
      at += right.size;
      left = right;
    }
  }
}

token_id spm_tokenizer::plain_token(std::string_view text) const {
  if (text.size() > longest_text_)
    return -1;
  const auto id = find(text);
  return id && is_plain(kind(*id)) ? *id : -1;
}

void spm_tokenizer::encode_plain(std::string_view text, std::vector<token_id>& out) const {
  const auto marked = with_marks(text, add_space_prefix_);
  const std::string_view whole = marked;
  merger work;
  for (std::size_t at = 0; at < whole.size();) {
    const auto end = stretch_end(whole, at);
    encode_stretch(whole.substr(at, end - at), work, out);
    at = end;
  }
}

/// End of what can be merged on its own: no token spans two characters that are neighbours in none,
/// so stretches (words, mostly) give the ids of the whole text, with a heap that fits the cache.
std::size_t spm_tokenizer::stretch_end(std::string_view marked, std::size_t at) const {
  auto left = char_at(marked, at);
  for (at += left.size; at < marked.size();) {
    const auto right = char_at(marked, at);
    if (!neighbours_.contains(pair_of(left, right)))
      break;
    at += right.size;
    left = right;
  }
  return at;
}

void spm_tokenizer::encode_stretch(std::string_view stretch, merger& work,
                                   std::vector<token_id>& out) const {
  work.symbols.clear();
  for (std::size_t at = 0; at < stretch.size();) {
    const auto size = char_at(stretch, at).size;
    work.symbols.push_back(
        {static_cast<std::uint32_t>(at), size, plain_token(stretch.substr(at, size))});
    at += size;
  }
  work.run([&](const merge_symbol& left, const merge_symbol& right) -> std::optional<merge_result> {
    const auto id = plain_token(stretch.substr(left.begin, left.size + right.size));
    if (id < 0)
      return std::nullopt;
    return merge_result{ranks_[static_cast<std::size_t>(id)], id};
  });
  for (const auto& symbol : work.symbols) {
    if (symbol.size == 0)
      continue;
    if (symbol.id >= 0)
      out.push_back(symbol.id);
    else
      push_bytes(stretch.substr(symbol.begin, symbol.size), out);
  }
}

void spm_tokenizer::push_bytes(std::string_view bytes, std::vector<token_id>& out) const {
  const auto token_of = [this](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  if (std::all_of(bytes.begin(), bytes.end(), [&](char c) { return token_of(c) >= 0; }))
    std::transform(bytes.begin(), bytes.end(), std::back_inserter(out), token_of);
  else if (unknown_)
    out.push_back(*unknown_);
}

std::string spm_tokenizer::piece_bytes(token_id token) const {
  if (kind(token) == token_kind::byte)
    return {static_cast<char>(parse_byte(text(token)))};
  return without_marks(text(token));
}

} // namespace bitnetd::engine
