// SPDX-License-Identifier: MIT
#pragma once

#include "engine/errors.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

class model_source;

using token_id = std::int32_t;

/// What a vocabulary entry is for; the numbers are GGUF's `tokenizer.ggml.token_type`.
enum class token_kind : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

/// One part of a prompt. Neighbouring parts are tokenized as one text; only what a trusted part
/// spells may become control tokens.
struct prompt_part {
  std::string_view text;
  bool trusted = false; ///< of the template, never of a user
};

/// Text <-> token ids. Immutable after construction; safe from any thread.
class tokenizer {
public:
  virtual ~tokenizer() = default;
  tokenizer(const tokenizer&) = delete;
  tokenizer& operator=(const tokenizer&) = delete;

  /// Builds the tokenizer that the metadata `tokenizer.ggml.*` describes; nullptr when the file
  /// has none (`no_vocab` or no such keys). Throws load_error when what is there is inconsistent
  /// or of a kind we do not know (the message lists the known ones).
  static std::shared_ptr<const tokenizer> from_metadata(const model_source& file);

  /// Token ids of `text`. Any bytes are accepted; each byte that is not valid UTF-8 is tokenized on
  /// its own. `parse_special`: text that spells a control token becomes that token; only templates
  /// may ask for it, never user text. (User-defined tokens, such as runs of spaces, are found in
  /// any text.) `add_special`: BOS/EOS as the model wants.
  /// Errors   std::length_error for texts over 1 GiB.
  [[nodiscard]] std::vector<token_id> encode(std::string_view text, bool add_special,
                                             bool parse_special) const;
  /// The same for a prompt of trusted and untrusted parts.
  [[nodiscard]] std::vector<token_id> encode(std::span<const prompt_part> parts,
                                             bool add_special) const;

  /// The bytes that one token adds to the text (control and unknown tokens: none unless
  /// `show_special`). They need not be whole characters. Ids out of range give no bytes.
  [[nodiscard]] std::string piece(token_id token, bool show_special = false) const;

  /// The text of a list of tokens; SentencePiece's leading space is removed.
  [[nodiscard]] std::string decode(std::span<const token_id> tokens,
                                   bool show_special = false) const;

  [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }
  [[nodiscard]] token_kind kind(token_id token) const noexcept;
  [[nodiscard]] const std::string& text(token_id token) const noexcept; ///< as in the file
  [[nodiscard]] std::optional<token_id> find(std::string_view text) const noexcept;
  [[nodiscard]] std::optional<token_id> bos() const noexcept { return bos_; }
  [[nodiscard]] std::optional<token_id> eos() const noexcept { return eos_; }
  /// Every token that ends a generation: EOS, EOT and what the family is known to stop on.
  [[nodiscard]] const std::vector<token_id>& stop_tokens() const noexcept { return stops_; }
  [[nodiscard]] std::string_view name() const noexcept { return name_; } ///< e.g. "llama-bpe"
  [[nodiscard]] bool adds_bos() const noexcept { return add_bos_; }
  [[nodiscard]] bool adds_eos() const noexcept { return add_eos_; }
  /// Bytes of the longest token: a text of n bytes has at least n / longest_piece() tokens, which
  /// is a way to refuse an overlong prompt before tokenizing it.
  [[nodiscard]] std::size_t longest_piece() const noexcept { return longest_piece_; }

protected:
  tokenizer() = default;

  /// Appends the ids of a text without special tokens in it, which begins the prompt or follows a
  /// special token.
  virtual void encode_plain(std::string_view text, std::vector<token_id>& out) const = 0;
  /// The bytes of a normal, unused or byte token.
  [[nodiscard]] virtual std::string piece_bytes(token_id token) const = 0;

  friend class tokenizer_builder;
  struct index; ///< text -> id, and the special texts
  std::string name_;
  std::vector<std::string> texts_;
  std::vector<token_kind> kinds_;
  std::shared_ptr<const index> index_;
  std::optional<token_id> bos_, eos_, eot_, unknown_;
  std::vector<token_id> stops_;
  std::size_t longest_piece_ = 1;
  bool add_bos_ = false, add_eos_ = false, strip_leading_space_ = false;

private:
  void encode_untrusted(std::string_view text, std::vector<token_id>& out) const;
};

} // namespace bitnetd::engine
