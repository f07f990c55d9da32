// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bitnetd::engine {

/// What a file says of its tokenizer (`tokenizer.ggml.*`), before anything is believed. The spans
/// are read while building only.
struct tokenizer_spec {
  std::string origin;       ///< the file, for messages
  std::string architecture; ///< general.architecture
  std::string model;        ///< "gpt2" or "llama"
  std::string pre;          ///< the pre-tokenizer's name; empty when the file has none
  std::span<const std::string> tokens;
  std::span<const float> scores;       ///< one per token; only SentencePiece needs them
  std::span<const std::int64_t> kinds; ///< one per token, or none
  std::optional<std::span<const std::string>> merges; ///< "left right"; BPE needs them
  std::optional<std::uint64_t> bos, eos, eot, unknown;
  std::span<const std::int64_t> stops; ///< further tokens that end a generation
  std::optional<bool> add_bos, add_eos, add_space_prefix, ignore_merges;
  bool composes = false; ///< texts are normalized to NFC first
};

/// Checks a specification and builds the tokenizer. Harmless oddities (a merge of unknown tokens, a
/// second token of the same text) are ignored with one line in the log; what would make ids wrong
/// is refused.
class tokenizer_builder {
public:
  explicit tokenizer_builder(const tokenizer_spec& spec) : spec_(spec) {}
  /// Throws load_error: origin, key, reason.
  [[nodiscard]] std::shared_ptr<const tokenizer> build();

private:
  void check_counts() const;
  void add_entries();
  void add_index();
  void add_special_ids();
  void add_stop_tokens();
  void measure_pieces();
  [[nodiscard]] std::optional<token_id> checked_id(std::optional<std::uint64_t> id,
                                                   std::string_view key) const;
  [[nodiscard]] std::optional<token_id> control_token(std::string_view text) const;

  const tokenizer_spec& spec_;
  std::shared_ptr<tokenizer> words_;
};

/// Throws load_error "origin: tokenizer.ggml.<key>: reason".
[[noreturn]] void refuse_tokenizer(const tokenizer_spec& spec, const std::string& key,
                                   const std::string& reason);

/// Whether text that nobody trusts may become a token of this kind.
[[nodiscard]] inline bool is_plain(token_kind kind) noexcept {
  return kind == token_kind::normal || kind == token_kind::user_defined;
}

} // namespace bitnetd::engine
