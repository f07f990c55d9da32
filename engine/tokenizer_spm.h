// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tokenizer_builder.h"
#include "engine/tokenizer_merge.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace bitnetd::engine {

/// SentencePiece BPE (Llama 2, the 1bitLLM models): spaces become U+2581, one is put before the
/// text, and its characters are joined by the score of what they become. A character without token
/// becomes byte tokens `<0xNN>`, else the unknown token, else nothing.
class spm_tokenizer final : public tokenizer {
public:
  void choose_rules(const tokenizer_spec& spec);
  /// Reads scores and byte tokens; the index is there.
  void learn(const tokenizer_spec& spec);

protected:
  void encode_plain(std::string_view text, std::vector<token_id>& out) const override;
  [[nodiscard]] std::string piece_bytes(token_id token) const override;

private:
  void learn_bytes(const tokenizer_spec& spec);
  void learn_ranks(const tokenizer_spec& spec);
  void learn_neighbours();
  [[nodiscard]] std::size_t stretch_end(std::string_view marked, std::size_t at) const;
  void encode_stretch(std::string_view stretch, merger& work, std::vector<token_id>& out) const;
  [[nodiscard]] token_id plain_token(std::string_view text) const;
  void push_bytes(std::string_view bytes, std::vector<token_id>& out) const;

  bool add_space_prefix_ = true;
  std::vector<std::uint32_t> ranks_;        ///< by token: 0 has the highest score
  std::size_t longest_text_ = 0;            ///< of plain tokens, in bytes
  std::array<token_id, 256> byte_tokens_{}; ///< -1: the vocabulary has none
  /// The pairs of characters that stand side by side in some plain token.
  std::unordered_set<std::uint64_t> neighbours_;
};

} // namespace bitnetd::engine
