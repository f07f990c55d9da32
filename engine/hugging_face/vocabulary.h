// SPDX-License-Identifier: MIT
#pragma once

#include "engine/hugging_face/json_file.h"
#include "engine/model_source.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::engine::hugging_face {

/// The tokenizer of a folder in GGUF's terms.
struct vocabulary {
  std::string model; ///< "gpt2" or "llama"
  std::string pre;   ///< of gpt2
  std::vector<std::string> tokens;
  std::vector<float> scores; ///< of llama
  std::vector<std::int64_t> kinds;
  std::vector<std::string> merges; ///< of gpt2
  std::optional<bool> ignore_merges, add_bos, add_eos, add_space_prefix;
  std::optional<std::uint64_t> bos, eos, unknown;
  bool composes = false; ///< texts are to be normalized to NFC first

  /// The id of a token's text.
  [[nodiscard]] std::optional<std::uint64_t> find(const std::string& text) const;
  /// Makes room for `id` and writes the token there; gaps become tokens that no text gives.
  /// Throws load_error for an id beyond every vocabulary.
  void put(std::uint64_t id, std::string text, std::int64_t kind, const std::string& place);
};

/// GGUF's numbers of token kinds.
enum : std::int64_t {
  kind_normal = 1,
  kind_unknown,
  kind_control,
  kind_user,
  kind_unused,
  kind_byte
};

/// Reads tokenizer.json or tokenizer.model, tokenizer_config.json, generation_config.json and the
/// ids of `config` (config.json), and writes what they say as `tokenizer.*` entries.
///
/// `n_rows`: rows of the embedding: vocabularies are filled up to it with tokens that no text
/// gives. A folder without tokenizer gives nothing. Throws load_error.
[[nodiscard]] std::vector<std::pair<std::string, gguf_value>>
read_vocabulary(const std::filesystem::path& folder, const json_object& config,
                std::uint64_t n_rows);

} // namespace bitnetd::engine::hugging_face
