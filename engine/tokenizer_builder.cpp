// SPDX-License-Identifier: MIT
#include "engine/tokenizer_builder.h"

#include "base/log.h"
#include "engine/printable.h"
#include "engine/tokenizer_bpe.h"
#include "engine/tokenizer_index.h"
#include "engine/tokenizer_spm.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace bitnetd::engine {

namespace {

/// Texts of control tokens after which no family goes on, whatever the file names as its EOS:
/// Llama-3 files name one of two, ChatML and Gemma files the base model's.
constexpr std::string_view stop_texts[] = {"<|end_of_text|>", "<|eot_id|>",    "<|eom_id|>",
                                           "<|im_end|>",      "<|endoftext|>", "<end_of_turn>"};

constexpr std::size_t most_tokens = std::size_t{1} << 24; // the largest published vocabulary: 2^18

} // namespace

void refuse_tokenizer(const tokenizer_spec& spec, const std::string& key,
                      const std::string& reason) {
  throw load_error(spec.origin + ": tokenizer.ggml." + key + ": " + reason);
}

std::shared_ptr<const tokenizer> tokenizer_builder::build() {
  check_counts();
  if (spec_.model == "gpt2") {
    auto bpe = std::make_shared<bpe_tokenizer>();
    words_ = bpe;
    bpe->choose_rules(spec_);
    add_entries();
    add_index();
    bpe->learn(spec_);
  } else if (spec_.model == "llama") {
    auto spm = std::make_shared<spm_tokenizer>();
    words_ = spm;
    spm->choose_rules(spec_);
    add_entries();
    add_index();
    spm->learn(spec_);
  } else {
    refuse_tokenizer(spec_, "model",
                     printable(spec_.model) +
                         " is not known; known are 'gpt2' (byte-level BPE), 'llama' "
                         "(SentencePiece BPE) and 'no_vocab'");
  }
  add_special_ids();
  add_stop_tokens();
  measure_pieces();
  return words_;
}

void tokenizer_builder::check_counts() const {
  const auto n = spec_.tokens.size();
  if (n == 0)
    refuse_tokenizer(spec_, "tokens", "the vocabulary is empty");
  if (n > most_tokens)
    refuse_tokenizer(spec_, "tokens", "more than " + std::to_string(most_tokens) + " tokens");
  const auto check = [&](const char* key, std::size_t count) {
    if (count != 0 && count != n)
      refuse_tokenizer(spec_, key,
                       std::to_string(count) + " entries for " + std::to_string(n) + " tokens");
  };
  check("scores", spec_.scores.size());
  check("token_type", spec_.kinds.size());
}

void tokenizer_builder::add_entries() {
  words_->texts_.assign(spec_.tokens.begin(), spec_.tokens.end());
  words_->kinds_.assign(words_->texts_.size(), token_kind::normal);
  for (std::size_t i = 0; i < spec_.kinds.size(); ++i) {
    const auto number = spec_.kinds[i];
    if (number < 0 || number > 6)
      refuse_tokenizer(spec_, "token_type[" + std::to_string(i) + "]",
                       "expected 1 to 6, got " + std::to_string(number));
    // 0 is ggml's "undefined": nothing that text should become.
    words_->kinds_[i] = number == 0 ? token_kind::unused : static_cast<token_kind>(number);
  }
  if (!spec_.kinds.empty())
    return;
  // Old files have no kinds; the ids that they name must still be out of reach of user text.
  for (const auto id : {spec_.bos, spec_.eos, spec_.eot})
    if (id && *id < words_->kinds_.size())
      words_->kinds_[*id] = token_kind::control;
  if (spec_.unknown && *spec_.unknown < words_->kinds_.size())
    words_->kinds_[*spec_.unknown] = token_kind::unknown;
}

void tokenizer_builder::add_index() {
  auto index = std::make_shared<tokenizer::index>();
  std::vector<std::pair<std::string_view, token_id>> control, user_defined;
  std::size_t repeated = 0;
  index->ids.reserve(words_->texts_.size());
  for (std::size_t i = 0; i < words_->texts_.size(); ++i) {
    const std::string_view text = words_->texts_[i];
    const auto id = static_cast<token_id>(i);
    if (text.empty())
      continue; // no text can become it
    if (!index->ids.try_emplace(text, id).second) {
      ++repeated;
      continue;
    }
    const auto kind = words_->kinds_[i];
    const bool is_control = kind == token_kind::control || kind == token_kind::unknown;
    if (!is_control && kind != token_kind::user_defined)
      continue;
    if (text.size() > special_texts::longest_allowed)
      refuse_tokenizer(spec_, "tokens[" + std::to_string(i) + "]",
                       "a special token of " + std::to_string(text.size()) +
                           " bytes; expected at most " +
                           std::to_string(special_texts::longest_allowed));
    (is_control ? control : user_defined).emplace_back(text, id);
  }
  if (repeated > 0)
    log::warn("{}: tokenizer.ggml.tokens: {} tokens repeat the text of an earlier one, which is "
              "the one that is used",
              spec_.origin, repeated);
  index->composes = spec_.composes;
  // Of equal texts the first has the index, so the pairs are unique already.
  index->control = special_texts{std::move(control)};
  index->user_defined = special_texts{std::move(user_defined)};
  words_->index_ = std::move(index);
}

std::optional<token_id> tokenizer_builder::checked_id(std::optional<std::uint64_t> id,
                                                      std::string_view key) const {
  if (!id)
    return std::nullopt;
  if (*id >= words_->size())
    refuse_tokenizer(spec_, std::string{key},
                     std::to_string(*id) + " is outside the vocabulary of " +
                         std::to_string(words_->size()) + " tokens");
  return static_cast<token_id>(*id);
}

std::optional<token_id> tokenizer_builder::control_token(std::string_view text) const {
  const auto id = words_->find(text);
  return id && words_->kind(*id) == token_kind::control ? id : std::nullopt;
}

void tokenizer_builder::add_special_ids() {
  words_->bos_ = checked_id(spec_.bos, "bos_token_id");
  words_->eos_ = checked_id(spec_.eos, "eos_token_id");
  words_->eot_ = checked_id(spec_.eot, "eot_token_id");
  words_->unknown_ = checked_id(spec_.unknown, "unknown_token_id");
  if (!words_->bos_)
    words_->bos_ = control_token(spec_.model == "llama" ? "<s>" : "<|begin_of_text|>");
  if (!words_->eos_)
    words_->eos_ = control_token(spec_.model == "llama" ? "</s>" : "<|end_of_text|>");
  if (!words_->unknown_ && spec_.model == "llama") {
    const auto id = words_->find("<unk>");
    if (id && words_->kind(*id) == token_kind::unknown)
      words_->unknown_ = id;
  }
  words_->add_bos_ = spec_.add_bos.value_or(words_->add_bos_); // set by choose_rules
  words_->add_eos_ = spec_.add_eos.value_or(false);
}

void tokenizer_builder::add_stop_tokens() {
  auto& stops = words_->stops_;
  const auto add = [&](std::optional<token_id> id) {
    if (id && std::find(stops.begin(), stops.end(), *id) == stops.end())
      stops.push_back(*id);
  };
  add(words_->eos_);
  add(words_->eot_);
  for (const auto id : spec_.stops)
    add(checked_id(id < 0 ? std::nullopt : std::optional{static_cast<std::uint64_t>(id)},
                   "stop_token_ids"));
  for (const auto text : stop_texts)
    add(control_token(text));
}

void tokenizer_builder::measure_pieces() {
  for (std::size_t i = 0; i < words_->size(); ++i)
    words_->longest_piece_ =
        std::max(words_->longest_piece_, words_->piece(static_cast<token_id>(i), true).size());
  if (spec_.composes)
    words_->longest_piece_ *= 3; // a text may be three times as long as what it is composed to
}

} // namespace bitnetd::engine
