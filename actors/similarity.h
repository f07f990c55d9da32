// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "engine/tokenizer.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::actors {

/// The prompt with digits, quoted strings and back-ticked spans replaced by one mark each, hashed:
/// prompts from one template share it.
[[nodiscard]] hash128 skeleton_of(std::string_view text);

/// For every item of a batch, the estimated Jaccard similarity (0…1) of its token 3-grams to those
/// of the most similar other item that shares a band of its MinHash signature. Time is linear in
/// the number of tokens: 16 hashes per shingle, 8 bands of 2.
/// Source: Broder 1997, On the resemblance and containment of documents.
[[nodiscard]] std::vector<double>
batch_similarity(std::span<const std::vector<engine::token_id>> items);

} // namespace bitnetd::actors
