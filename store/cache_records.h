// SPDX-License-Identifier: MIT
#pragma once

#include "store/cache_entry.h"
#include "store/status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::store {

// Values of the answers database, in envelopes (envelope.h); docs/store.md has the layouts. `key`
// is the key that a value is stored under. Decoding answers corrupt or newer_schema.

inline constexpr std::uint8_t cache_schema = 2;

/// The fixed part of an entry and its tags: column family `meta`.
struct cache_meta {
  cache_entry_head head; ///< without id, partition (they are the key) and vector
  std::vector<std::string> tags;
};

[[nodiscard]] std::string encode_meta(std::string_view key, const cache_meta& meta);
result<cache_meta> decode_meta(std::string_view key, std::string_view stored);

/// The exact tier's row: which entry, and the canonical bytes that decide.
struct exact_row {
  std::uint64_t id = 0;
  std::string canonical;
};
[[nodiscard]] std::string encode_exact(std::string_view key, std::uint64_t id,
                                       std::string_view canonical);
result<exact_row> decode_exact(std::string_view key, std::string_view stored);

[[nodiscard]] std::string encode_answer(std::string_view key, const cached_answer& answer);
result<cached_answer> decode_answer(std::string_view key, std::string_view stored);

[[nodiscard]] std::string encode_vector(std::string_view key, const quantized_vector& vector);
result<quantized_vector> decode_vector(std::string_view key, std::string_view stored);

[[nodiscard]] std::string encode_prompt(std::string_view key, std::string_view prompt);
result<std::string> decode_prompt(std::string_view key, std::string_view stored);

} // namespace bitnetd::store
