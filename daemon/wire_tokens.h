// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// `tokenize` and `detokenize`: what a text is to a model. Both are answered by `tokens`.

namespace bitnetd::wire {

constexpr std::size_t max_tokenized_bytes = 1 << 20;
constexpr std::size_t max_detokenized = 1 << 18;

struct tokenize {
  std::string text, model; ///< model: a name; empty: the first one
  bool operator==(const tokenize&) const = default;
};

struct detokenize {
  std::vector<std::int32_t> tokens;
  std::string model;
  bool operator==(const detokenize&) const = default;
};

/// Both throw refusal (E_FIELD).
[[nodiscard]] tokenize read_tokenize(const nlohmann::json& body);
[[nodiscard]] detokenize read_detokenize(const nlohmann::json& body);

} // namespace bitnetd::wire
