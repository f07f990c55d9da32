// SPDX-License-Identifier: MIT
#pragma once

#include "engine/pair_table.h"
#include "engine/pretokenizer.h"
#include "engine/tokenizer_builder.h"

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bitnetd::engine {

/// Byte-level BPE (GPT-2, Llama 3, Falcon, Qwen): the text is cut into words, and in each word
/// bytes are joined by the rank of their merge. A byte for which the vocabulary has no token
/// becomes the unknown token, or nothing when there is none (the log says so at load).
class bpe_tokenizer final : public tokenizer {
public:
  /// Sets name, split pattern and the family's defaults from `pre`. A file without one is Llama-3
  /// if it is a 2B-4T BitNet (published without), else taken as gpt-2, with a warning.
  void choose_rules(const tokenizer_spec& spec);
  /// Reads tokens and merges; the index is there.
  void learn(const tokenizer_spec& spec);

protected:
  void encode_plain(std::string_view text, std::vector<token_id>& out) const override;
  [[nodiscard]] std::string piece_bytes(token_id token) const override;

private:
  void learn_bytes(const tokenizer_spec& spec);
  void learn_merges(const tokenizer_spec& spec);
  void encode_word(std::string_view word, merger& work, std::vector<token_id>& out) const;

  split_rules rules_;
  bool whole_words_first_ = false; ///< a word that is a token is not merged ("ignore merges")
  std::string bytes_;              ///< of all tokens, one after the other
  std::vector<std::size_t> ends_;  ///< where each token's bytes end
  std::unordered_map<std::string_view, token_id> by_bytes_; ///< plain tokens; views of bytes_
  std::array<token_id, 256> byte_tokens_{};                 ///< -1: the vocabulary has none
  pair_table merges_;
};

} // namespace bitnetd::engine
