// SPDX-License-Identifier: MIT
#pragma once

#include "engine/hugging_face/json_file.h"
#include "engine/hugging_face/vocabulary.h"

namespace bitnetd::engine::hugging_face {

/// Translates a tokenizer.json of model BPE: byte-level, or SentencePiece's with byte fallback.
/// The pre-tokenizer's pattern must be one that is known, since it is matched by hand.
/// Throws load_error for every part that would change token ids and is not supported.
[[nodiscard]] vocabulary read_tokenizer_json(const json_object& file);

} // namespace bitnetd::engine::hugging_face
