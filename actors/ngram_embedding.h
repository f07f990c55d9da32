// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"

#include <cstddef>
#include <string_view>
#include <vector>

namespace bitnetd::actors {

/// The embedder that needs no model: words, pairs of words and pieces of words, hashed into 384
/// signed places. It knows nothing of meaning, only of shared wording; it takes microseconds.
inline constexpr std::size_t ngram_dimension = 384;

/// Names this embedder and its version, as a model's hash names a model. Raised when vectors
/// change.
[[nodiscard]] const hash128& ngram_embedder();

/// A unit vector; empty for a text without letters and digits. Case (of ASCII) and punctuation do
/// not count.
[[nodiscard]] std::vector<float> ngram_embedding(std::string_view text);

} // namespace bitnetd::actors
