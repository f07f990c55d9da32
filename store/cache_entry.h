// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "store/quantized_vector.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::store {

/// What a hit delivers.
struct cached_answer {
  std::string text;
  std::string finish_reason;         ///< "stop", "length"
  std::vector<std::uint32_t> tokens; ///< may be empty
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::string model; ///< its name when the answer was computed

  bool operator==(const cached_answer&) const = default;
};

/// Expiry of an entry that is pinned: it does not expire and is not evicted.
inline constexpr std::int64_t pinned_us = std::int64_t{1} << 62;

/// One answer in the cache. Times are wall microseconds.
struct cache_entry {
  std::uint64_t id = 0; ///< from answers_db::next_id; rises, never used twice

  hash128 partition;     ///< everything that must be equal for an answer to be served
  hash128 key;           ///< of `canonical`
  std::string canonical; ///< the exact tier compares these bytes: the hash only finds them
  std::string prompt;    ///< the text that the vector stands for: guards read it

  cached_answer answer;

  std::int64_t created_us = 0;
  std::int64_t expires_us = 0;
  std::uint32_t cost_ms = 0; ///< computing it took this long
  hash128 owner;             ///< whose bytes these are: evict_to looks at shares

  std::optional<quantized_vector> vector; ///< absent: exact tier only
  hash128 embedder;                       ///< model hash of what computed the vector; zeros without
  std::vector<std::string> tags;          ///< at most 16, of at most 64 bytes

  std::int64_t last_used_us = 0; ///< coarse: written by touch, now and then
  std::uint32_t hits = 0;        ///< likewise

  bool operator==(const cache_entry&) const = default;
};

/// The part of an entry that the in-memory indexes are rebuilt from.
struct cache_entry_head {
  std::uint64_t id = 0;
  hash128 partition;
  hash128 key;
  hash128 embedder;
  std::int64_t created_us = 0;
  std::int64_t expires_us = 0;
  std::int64_t last_used_us = 0;
  std::uint32_t hits = 0;
  std::uint32_t cost_ms = 0;
  hash128 owner;
  std::uint64_t bytes = 0; ///< keys and values of all its rows, uncompressed
  std::optional<quantized_vector> vector;
};

/// What the user of the store has learned and wants back after a restart; its bytes mean nothing
/// to the store.
struct learned_row {
  std::uint64_t entry = 0; ///< it goes with this entry; 0: it stays
  std::string name;        ///< of a row that stays
  std::string bytes;

  bool operator==(const learned_row&) const = default;
};

/// How often an entry was hit since the last touch.
struct cache_touch {
  std::uint64_t id = 0;
  std::uint32_t hits = 0; ///< added
  std::int64_t last_used_us = 0;
};

/// Names an entry that is no more: what an in-memory index has to drop.
struct erased_entry {
  std::uint64_t id = 0;
  hash128 partition;

  bool operator==(const erased_entry&) const = default;
};

} // namespace bitnetd::store
