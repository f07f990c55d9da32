// SPDX-License-Identifier: MIT
#pragma once

#include "engine/byte_alphabet.h"
#include "engine/tokenizer_builder.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitnetd::tests {

/// The parts of a tokenizer's metadata, to be changed at will and built.
struct small_vocabulary {
  std::string architecture = "llama", model, pre;
  std::vector<std::string> tokens;
  std::vector<std::int64_t> kinds;
  std::vector<float> scores;
  std::optional<std::vector<std::string>> merges;
  std::optional<std::uint64_t> bos, eos, eot, unknown;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  bool composes = false;

  void add(std::string text, std::int64_t kind, float score = 0) {
    tokens.push_back(std::move(text));
    kinds.push_back(kind);
    scores.push_back(score);
  }

  [[nodiscard]] std::shared_ptr<const engine::tokenizer> build() const {
    engine::tokenizer_spec spec{
        "small.gguf", architecture, model, pre,     tokens, scores,  kinds,   std::nullopt,
        bos,          eos,          eot,   unknown, {},     add_bos, add_eos, add_space_prefix,
        std::nullopt, composes};
    if (merges)
      spec.merges = *merges;
    return engine::tokenizer_builder{spec}.build();
  }
};

/// What the vocabularies below are learned from.
inline constexpr std::string_view training_text =
    "the daemon holds a queue of jobs and the workers take jobs from the queue; when a worker "
    "ends a job the daemon tells the client that the job has ended. There are 1024 jobs, 12345 "
    "tokens and 1,000,000 answers in the cache. Don't wait: we'll see what they've done, and I'd "
    "say it's done. \n\n\tNicht jeder Fuehrer faehrt ueber die Strasse. \n  - one\n  - two\n    - "
    "three\n if (x == 0) { return x; }\n la vie en rose, que sera, sera";

/// The pair of neighbours that occurs most often, the smallest of equals; empty when none does
/// twice. `words` are lists of parts.
inline std::pair<std::string, std::string>
commonest_pair(const std::vector<std::vector<std::string>>& words) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const auto& word : words)
    for (std::size_t i = 1; i < word.size(); ++i)
      ++counts[{word[i - 1], word[i]}];
  std::pair<std::string, std::string> best;
  int most = 1;
  for (const auto& [pair, count] : counts)
    if (count > most) {
      most = count;
      best = pair;
    }
  return best;
}

inline void join_pairs(std::vector<std::vector<std::string>>& words,
                       const std::pair<std::string, std::string>& pair) {
  for (auto& word : words)
    for (std::size_t i = 1; i < word.size(); ++i)
      if (word[i - 1] == pair.first && word[i] == pair.second) {
        word[i - 1] += word[i];
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i));
      }
}

/// Byte-level BPE: 256 bytes, some 150 merges, two user-defined runs of spaces, then Llama 3's
/// control tokens.
inline small_vocabulary small_bpe(std::string pre = "llama-bpe") {
  small_vocabulary v;
  v.model = "gpt2";
  v.pre = std::move(pre);
  v.merges.emplace();
  for (unsigned byte = 0; byte < 256; ++byte)
    v.add(engine::spell_byte(static_cast<std::uint8_t>(byte)), 1);
  std::vector<std::vector<std::string>> words(1);
  for (const char c : training_text) {
    if (c == ' ' && !words.back().empty() && words.back().back() != engine::spell_byte(' '))
      words.emplace_back();
    words.back().push_back(engine::spell_byte(static_cast<std::uint8_t>(c)));
  }
  for (int i = 0; i < 150; ++i) {
    const auto pair = commonest_pair(words);
    if (pair.first.empty())
      break;
    v.merges->push_back(pair.first + " " + pair.second);
    v.add(pair.first + pair.second, 1);
    join_pairs(words, pair);
  }
  v.add("    ", 4);
  v.add("      ", 4);
  v.bos = v.tokens.size();
  v.add("<|begin_of_text|>", 3);
  v.eos = v.tokens.size();
  v.add("<|end_of_text|>", 3);
  for (const char* text : {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"})
    v.add(text, 3);
  return v;
}

/// SentencePiece: <unk> <s> </s>, 256 byte tokens, the pieces in the order in which they were
/// learned, then single characters; among them some of equal score.
inline small_vocabulary small_spm() {
  small_vocabulary v;
  v.model = "llama";
  v.pre = "default";
  v.add("<unk>", 2);
  v.add("<s>", 3);
  v.add("</s>", 3);
  constexpr char digits[] = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte)
    v.add(std::string{"<0x"} + digits[byte / 16] + digits[byte % 16] + ">", 6);
  const std::string mark = "\xE2\x96\x81";
  std::vector<std::vector<std::string>> words(1);
  for (const char c : training_text) {
    if (c == ' ')
      words.emplace_back();
    words.back().push_back(c == ' ' ? mark : std::string{c});
  }
  std::map<std::string, int> characters;
  for (const auto& word : words)
    for (const auto& c : word)
      ++characters[c];
  for (int i = 0; i < 150; ++i) {
    const auto pair = commonest_pair(words);
    if (pair.first.empty())
      break;
    join_pairs(words, pair);
    const auto joined = pair.first + pair.second;
    if (std::find(v.tokens.begin(), v.tokens.end(), joined) == v.tokens.end())
      v.add(joined, 1, static_cast<float>(-(i / 3))); // three of each score: ties matter
  }
  v.add(mark + mark, 1, -90);
  v.add(mark + mark + mark + mark, 1, -91);
  for (const auto& [text, count] : characters)
    if (text != "j" && text != "q") // characters with pieces, but no token of their own
      v.add(text, 1, static_cast<float>(-100 - count));
  v.add("\xC3\xA9", 1, -500);
  v.add("caf\xC3\xA9", 4);
  v.bos = 1;
  v.eos = 2;
  v.unknown = 0;
  return v;
}

} // namespace bitnetd::tests
