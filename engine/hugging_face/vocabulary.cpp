// SPDX-License-Identifier: MIT
#include "engine/hugging_face/vocabulary.h"

#include "engine/hugging_face/sentencepiece.h"
#include "engine/hugging_face/tokenizer_json.h"
#include "engine/printable.h"

#include <algorithm>

namespace bitnetd::engine::hugging_face {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::uint64_t max_token_id = 1'000'000; // as many as an embedding may have rows

bool is_there(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(path, unreadable);
}

/// A token as tokenizer_config.json names it: its text, or an object with it.
std::optional<std::string> token_text(const json_object& config, const char* key) {
  const auto* value = config.find(key);
  if (value != nullptr && value->is_object())
    return config.object(key)->text("content");
  return config.text(key);
}

/// One id or a list of ids.
std::vector<std::uint64_t> ids_of(const json_object& config, const char* key) {
  const auto* value = config.find(key);
  if (value == nullptr)
    return {};
  std::vector<std::uint64_t> ids;
  const auto add = [&](const json& id) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > max_token_id)
      config.refuse(key, "expected ids of tokens, got " + printable(id.dump()));
    ids.push_back(id.get<std::uint64_t>());
  };
  if (value->is_array())
    std::for_each(value->begin(), value->end(), add);
  else
    add(*value);
  return ids;
}

/// The template: a text, or a list of named ones of which "default" counts.
std::optional<std::string> chat_template_of(const json_object& config) {
  const auto* value = config.find("chat_template");
  if (value == nullptr || !value->is_array())
    return config.text("chat_template");
  for (const auto& one : *value) {
    const json_object named{one, config.place() + ": chat_template"};
    if (named.text("name") == "default")
      return named.text("template");
  }
  return std::nullopt;
}

vocabulary from_sentencepiece(const fs::path& path) {
  auto model = read_sentencepiece(read_small_file(path, max_tokenizer_bytes), path.string());
  vocabulary out;
  out.model = "llama";
  out.tokens = std::move(model.pieces);
  out.scores = std::move(model.scores);
  out.kinds = std::move(model.kinds);
  out.add_space_prefix = model.add_space_prefix;
  out.bos = model.bos;
  out.eos = model.eos;
  out.unknown = model.unknown;
  return out;
}

/// Tokens that were added to a SentencePiece model later.
void add_later_tokens(const json_object& config, vocabulary& into) {
  const auto later = config.object("added_tokens_decoder");
  if (!later)
    return;
  for (const auto& [number, one] : later->node().items()) {
    const json_object token{one, later->place()};
    const bool digits =
        !number.empty() && number.size() <= 7 &&
        std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
    const auto text = token.text("content");
    if (!digits || !text)
      later->refuse(printable(number), "expected an id and a token with content");
    const auto id = std::stoull(number);
    const bool special = token.flag("special").value_or(false);
    if (id < into.tokens.size() && into.tokens[id] == *text && into.kinds[id] != kind_normal)
      continue; // the model itself knows what it is
    into.put(id, *text, special ? kind_control : kind_user, later->place());
  }
  if (!into.scores.empty())
    into.scores.resize(into.tokens.size(), -1000.0f);
}

/// What the other files say over and above the vocabulary.
void read_settings(const json_object& settings, vocabulary& into) {
  if (const auto add = settings.flag("add_bos_token"))
    into.add_bos = add;
  if (const auto add = settings.flag("add_eos_token"))
    into.add_eos = add;
  const auto set = [&](const char* key, std::optional<std::uint64_t>& id) {
    if (const auto text = token_text(settings, key))
      if (const auto found = into.find(*text))
        id = found;
  };
  set("bos_token", into.bos);
  set("eos_token", into.eos);
  set("unk_token", into.unknown);
}

/// No text may become a token that begins or ends one, whatever the files call it.
void protect_specials(vocabulary& words) {
  for (const auto& id : {words.bos, words.eos})
    if (id && *id < words.kinds.size() && words.kinds[*id] == kind_normal)
      words.kinds[*id] = kind_control;
}

class entry_list {
public:
  void put(const char* key, gguf_value value) {
    entries.emplace_back(std::string{"tokenizer.ggml."} + key, std::move(value));
  }
  void put(const char* key, const std::optional<std::uint64_t>& value) {
    if (value)
      put(key, gguf_value{*value});
  }
  void put(const char* key, const std::optional<bool>& value) {
    if (value)
      put(key, gguf_value{*value});
  }
  std::vector<std::pair<std::string, gguf_value>> entries;
};

} // namespace

std::optional<std::uint64_t> vocabulary::find(const std::string& text) const {
  const auto at = std::find(tokens.begin(), tokens.end(), text);
  return at == tokens.end() ? std::nullopt
                            : std::optional{static_cast<std::uint64_t>(at - tokens.begin())};
}

void vocabulary::put(std::uint64_t id, std::string text, std::int64_t kind,
                     const std::string& place) {
  if (id >= max_token_id)
    throw load_error{place + ": token id " + std::to_string(id) + "; at most " +
                     std::to_string(max_token_id) + " tokens are supported"};
  if (id >= tokens.size()) {
    tokens.resize(id + 1);
    kinds.resize(id + 1, kind_unused);
  }
  tokens[id] = std::move(text);
  kinds[id] = kind;
}

std::vector<std::pair<std::string, gguf_value>>
read_vocabulary(const fs::path& folder, const json_object& config, std::uint64_t n_rows) {
  const bool has_json = is_there(folder / "tokenizer.json");
  if (!has_json && !is_there(folder / "tokenizer.model"))
    return {};
  auto words = has_json
                   ? read_tokenizer_json(read_json(folder / "tokenizer.json", max_tokenizer_bytes))
                   : from_sentencepiece(folder / "tokenizer.model");
  const auto settings = read_json_if_there(folder / "tokenizer_config.json", max_config_bytes);
  std::optional<std::string> dialogue;
  if (settings) {
    add_later_tokens(*settings, words);
    read_settings(*settings, words);
    dialogue = chat_template_of(*settings);
  }
  if (is_there(folder / "chat_template.jinja"))
    dialogue = read_small_file(folder / "chat_template.jinja", max_config_bytes);
  auto stops = ids_of(config, "eos_token_id");
  if (const auto generation =
          read_json_if_there(folder / "generation_config.json", max_config_bytes)) {
    const auto more = ids_of(*generation, "eos_token_id");
    stops.insert(stops.end(), more.begin(), more.end());
  }
  if (!words.eos && !stops.empty())
    words.eos = stops.front();
  if (!words.bos)
    if (const auto ids = ids_of(config, "bos_token_id"); !ids.empty())
      words.bos = ids.front();
  protect_specials(words);
  if (words.tokens.size() > n_rows)
    throw load_error{folder.string() + ": the tokenizer has " +
                     std::to_string(words.tokens.size()) + " tokens, the embedding only " +
                     std::to_string(n_rows) + " rows"};
  words.tokens.resize(n_rows);
  words.kinds.resize(n_rows, kind_unused);
  if (words.model == "llama")
    words.scores.resize(n_rows, -1000.0f);
  entry_list out;
  out.put("model", gguf_value{words.model});
  if (!words.pre.empty())
    out.put("pre", gguf_value{words.pre});
  if (words.composes)
    out.put("normalizer", gguf_value{std::string{"NFC"}});
  out.put("tokens", gguf_value{std::move(words.tokens)});
  out.put("token_type", gguf_value{std::move(words.kinds)});
  if (words.model == "llama")
    out.put("scores", gguf_value{std::move(words.scores)});
  else
    out.put("merges", gguf_value{std::move(words.merges)});
  out.put("ignore_merges", words.ignore_merges);
  out.put("bos_token_id", words.bos);
  out.put("eos_token_id", words.eos);
  out.put("unknown_token_id", words.unknown);
  out.put("add_bos_token", words.add_bos);
  out.put("add_eos_token", words.add_eos);
  out.put("add_space_prefix", words.add_space_prefix);
  if (!stops.empty())
    out.put("stop_token_ids", gguf_value{std::move(stops)});
  if (dialogue)
    out.entries.emplace_back("tokenizer.chat_template", *std::move(dialogue));
  return std::move(out.entries);
}

} // namespace bitnetd::engine::hugging_face
