// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine::hugging_face {

/// What a SentencePiece file (`tokenizer.model`) says, as far as encoding needs it.
struct sentencepiece_model {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<std::int64_t> kinds; ///< numbered as GGUF's token types
  bool add_space_prefix = true;
  std::optional<std::uint64_t> unknown, bos, eos;
};

/// Reads the protocol-buffer message ModelProto. Only models of type BPE without normalization
/// rules are read; unknown fields are skipped. `origin`: the file, for messages. Throws load_error.
[[nodiscard]] sentencepiece_model read_sentencepiece(std::string_view bytes,
                                                     const std::string& origin);

} // namespace bitnetd::engine::hugging_face
