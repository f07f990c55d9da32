// SPDX-License-Identifier: MIT
#include "engine/tokenizer_bpe.h"

#include "base/log.h"
#include "engine/byte_alphabet.h"
#include "engine/printable.h"
#include "engine/tokenizer_index.h"

#include <algorithm>

namespace bitnetd::engine {

namespace {

struct family {
  std::string_view pre, name;
  split_rules rules;
  bool whole_words_first, add_bos;
};

/// Falcon's rules with another last step, or with the step `Digits` of its tokenizer.json between.
constexpr split_rules falcon_with(split_rules::digits after, unsigned group) {
  return {split_rules::pattern::gpt2, true, after, group};
}
using digits = split_rules::digits;

/// Falcon 3 was published under two readings; a GGUF file gets the one that llama.cpp derived from
/// its Hugging Face tokenizer, a folder what its tokenizer.json says.
constexpr family families[] = {
    {"llama-bpe", "llama-bpe", split_rules::llama3, true, true},
    {"llama3", "llama-bpe", split_rules::llama3, true, true},
    {"llama-v3", "llama-bpe", split_rules::llama3, true, true},
    {"falcon3", "falcon3", split_rules::llama3, true, false},
    {"qwen2", "qwen2", split_rules::qwen2, false, false},
    {"gpt-2", "gpt-2", split_rules::gpt2, false, false},
    {"olmo", "olmo", split_rules::gpt2, false, false},
    {"falcon", "falcon", split_rules::falcon, false, false},
    {"falcon_e", "falcon_e", falcon_with(digits::as_they_are, 1), false, false},
    // Names of ours, for what folders spell out.
    {"falcon-runs", "falcon-runs", falcon_with(digits::runs_apart, 3), false, false},
    {"falcon_e-runs", "falcon_e-runs", falcon_with(digits::runs_apart, 1), false, false},
    {"falcon-digits", "falcon-digits", falcon_with(digits::each_apart, 0), false, false},
};

std::string known_names() {
  std::string names;
  for (const auto& known : families)
    names.append(names.empty() ? "" : ", ").append(known.pre);
  return names;
}

std::string_view effective_pre(const tokenizer_spec& spec) {
  if (!spec.pre.empty() && spec.pre != "default")
    return spec.pre;
  const bool bitnet = spec.architecture == "bitnet-b1.58" || spec.architecture == "bitnet-25";
  if (bitnet && spec.tokens.size() == 128256)
    return "llama-bpe";
  log::warn("{}: tokenizer.ggml.pre: the file does not say how words are split; taking gpt-2. "
            "Token ids may differ from those in training: convert the model again",
            spec.origin);
  return "gpt-2";
}

} // namespace

void bpe_tokenizer::choose_rules(const tokenizer_spec& spec) {
  const auto pre = effective_pre(spec);
  const auto* known = std::find_if(std::begin(families), std::end(families),
                                   [&](const family& f) { return f.pre == pre; });
  if (known == std::end(families))
    refuse_tokenizer(spec, "pre", printable(pre) + " is not known; known are " + known_names());
  name_ = known->name;
  rules_ = known->rules;
  whole_words_first_ = spec.ignore_merges.value_or(known->whole_words_first);
  add_bos_ = known->add_bos;
}

void bpe_tokenizer::learn(const tokenizer_spec& spec) {
  learn_bytes(spec);
  learn_merges(spec);
}

void bpe_tokenizer::learn_bytes(const tokenizer_spec& spec) {
  ends_.reserve(texts_.size());
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    // A text outside the alphabet can be shown as it is, but no input becomes it.
    bytes_ += unspell_bytes(texts_[i]).value_or(texts_[i]);
    ends_.push_back(bytes_.size());
  }
  if (whole_words_first_) {
    by_bytes_.reserve(texts_.size());
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      const auto begin = i > 0 ? ends_[i - 1] : 0;
      if (is_plain(kinds_[i]) && ends_[i] > begin && unspell_bytes(texts_[i]))
        by_bytes_.try_emplace(std::string_view{bytes_}.substr(begin, ends_[i] - begin),
                              static_cast<token_id>(i));
    }
  }
  std::size_t missing = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto id = find(spell_byte(static_cast<std::uint8_t>(byte)));
    const bool usable = id && is_plain(kind(*id));
    byte_tokens_[byte] = usable ? *id : -1;
    const bool occurs = byte != 0xC0 && byte != 0xC1 && byte < 0xF5; // in valid UTF-8
    missing += occurs && !usable ? 1 : 0;
  }
  if (missing > 0)
    log::warn("{}: tokenizer.ggml.tokens: {} bytes have no token; text with them is changed "
              "by tokenizing",
              spec.origin, missing);
}

void bpe_tokenizer::learn_merges(const tokenizer_spec& spec) {
  if (!spec.merges)
    refuse_tokenizer(spec, "merges", "missing; a 'gpt2' vocabulary needs its merges");
  merges_ = pair_table{spec.merges->size()};
  std::size_t ignored = 0;
  std::string joined;
  for (std::size_t rank = 0; rank < spec.merges->size(); ++rank) {
    const std::string_view merge = (*spec.merges)[rank];
    const auto space = merge.find(' ', 1); // a token's own first byte may be a space in old files
    if (space == std::string_view::npos || space + 1 == merge.size())
      refuse_tokenizer(spec, "merges[" + std::to_string(rank) + "]",
                       "expected two tokens with a space between, got " + printable(merge));
    joined.assign(merge, 0, space).append(merge, space + 1);
    const auto left = find(merge.substr(0, space));
    const auto right = find(merge.substr(space + 1));
    const auto whole = find(joined);
    if (left && right && whole && is_plain(kind(*whole)))
      merges_.insert(*left, *right, {static_cast<std::uint32_t>(rank), *whole});
    else
      ++ignored;
  }
  if (ignored > 0)
    log::warn("{}: tokenizer.ggml.merges: {} merges of or into unknown tokens are ignored",
              spec.origin, ignored);
}

void bpe_tokenizer::encode_plain(std::string_view text, std::vector<token_id>& out) const {
  merger work;
  for (const auto word : split_words(text, rules_)) {
    if (whole_words_first_) {
      if (const auto whole = by_bytes_.find(word); whole != by_bytes_.end()) {
        out.push_back(whole->second);
        continue;
      }
    }
    encode_word(word, work, out);
  }
}

void bpe_tokenizer::encode_word(std::string_view word, merger& work,
                                std::vector<token_id>& out) const {
  work.symbols.clear();
  for (std::uint32_t i = 0; i < word.size(); ++i)
    work.symbols.push_back({i, 1, byte_tokens_[static_cast<unsigned char>(word[i])]});
  work.run([this](const merge_symbol& left, const merge_symbol& right) {
    return merges_.find(left.id, right.id);
  });
  for (const auto& symbol : work.symbols) {
    if (symbol.size == 0)
      continue;
    if (symbol.id >= 0)
      out.push_back(symbol.id);
    else if (unknown_)
      out.push_back(*unknown_);
  }
}

std::string bpe_tokenizer::piece_bytes(token_id token) const {
  const auto i = static_cast<std::size_t>(token);
  const auto begin = i > 0 ? ends_[i - 1] : 0;
  return bytes_.substr(begin, ends_[i] - begin);
}

} // namespace bitnetd::engine
