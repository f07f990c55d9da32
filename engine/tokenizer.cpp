// SPDX-License-Identifier: MIT
#include "engine/tokenizer.h"

#include "engine/tokenizer_index.h"
#include "engine/unicode_compose.h"

#include <stdexcept>

namespace bitnetd::engine {

namespace {

constexpr std::size_t longest_text = std::size_t{1} << 30; // positions are kept in 32 bits

} // namespace

std::vector<token_id> tokenizer::encode(std::string_view text, bool add_special,
                                        bool parse_special) const {
  const prompt_part whole{text, parse_special};
  return encode({&whole, 1}, add_special);
}

std::vector<token_id> tokenizer::encode(std::span<const prompt_part> parts,
                                        bool add_special) const {
  std::vector<token_id> out;
  if (add_special && add_bos_ && bos_)
    out.push_back(*bos_);
  // What lies between two control tokens is one text, whoever wrote its parts: merges may cross
  // from template to content ("User:" + " Hi"), as they did in training.
  std::string between;
  for (const auto& part : parts) {
    std::size_t at = 0;
    while (part.trusted) {
      const auto found = index_->control.find(part.text, at);
      if (found.size == 0)
        break;
      between.append(part.text, at, found.begin - at);
      encode_untrusted(between, out);
      between.clear();
      out.push_back(found.token);
      at = found.begin + found.size;
    }
    between.append(part.text, at);
  }
  encode_untrusted(between, out);
  if (add_special && add_eos_ && eos_)
    out.push_back(*eos_);
  return out;
}

void tokenizer::encode_untrusted(std::string_view text, std::vector<token_id>& out) const {
  if (text.size() > longest_text)
    throw std::length_error("a text to tokenize has more than 1 GiB; cut it into parts");
  for (std::size_t at = 0; at < text.size();) {
    const auto found = index_->user_defined.find(text, at);
    const auto end = found.size != 0 ? found.begin : text.size();
    const auto between = text.substr(at, end - at);
    if (end > at && index_->composes)
      encode_plain(compose_nfc(between), out);
    else if (end > at)
      encode_plain(between, out);
    if (found.size != 0)
      out.push_back(found.token);
    at = end + found.size;
  }
}

std::string tokenizer::piece(token_id token, bool show_special) const {
  if (token < 0 || static_cast<std::size_t>(token) >= texts_.size())
    return {};
  switch (kind(token)) {
  case token_kind::control:
  case token_kind::unknown:
    return show_special ? text(token) : std::string{};
  case token_kind::user_defined:
    return text(token);
  default:
    return piece_bytes(token);
  }
}

std::string tokenizer::decode(std::span<const token_id> tokens, bool show_special) const {
  std::string out;
  for (const auto token : tokens)
    out += piece(token, show_special);
  if (strip_leading_space_ && out.starts_with(' '))
    out.erase(0, 1);
  return out;
}

token_kind tokenizer::kind(token_id token) const noexcept {
  const auto i = static_cast<std::size_t>(token);
  return token >= 0 && i < kinds_.size() ? kinds_[i] : token_kind::unknown;
}

const std::string& tokenizer::text(token_id token) const noexcept {
  static const std::string none;
  const auto i = static_cast<std::size_t>(token);
  return token >= 0 && i < texts_.size() ? texts_[i] : none;
}

std::optional<token_id> tokenizer::find(std::string_view text) const noexcept {
  const auto found = index_->ids.find(text);
  return found != index_->ids.end() ? std::optional{found->second} : std::nullopt;
}

} // namespace bitnetd::engine
