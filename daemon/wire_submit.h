// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "daemon/wire_errors.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// The `submit` message. Meaning, bounds and defaults of every field: docs/protocol.md.

namespace bitnetd::wire {

enum class mode : std::uint8_t { sync, stream, job };
enum class job_class : std::uint8_t { interactive, normal, batch, background };
enum class prompt_kind : std::uint8_t { completion, chat, embedding };

struct chat_message {
  std::string role, content;
  bool operator==(const chat_message&) const = default;
};

/// One of `prompt`, `messages`, `input`: of the submit itself, or of an item.
struct prompt {
  prompt_kind kind = prompt_kind::completion;
  std::string text; ///< of a prompt or input
  std::vector<chat_message> messages;
  std::string custom_id; ///< of an item
  bool operator==(const prompt&) const = default;
};

struct sampling {
  std::optional<std::uint32_t> max_tokens, top_k;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<std::pair<std::int32_t, double>> logit_bias; ///< by token id, ascending
  bool ignore_eos = false;
  bool operator==(const sampling&) const = default;
};

struct cache_directives {
  bool no_store = false, no_cache = false, only_if_cached = false;
  bool exact_only = false, allow_sampled = false;
  std::string name_space;
  bool explain = false;
  std::vector<std::string> tags;
  std::optional<std::int64_t> max_age_s, max_stale_s, stale_while_revalidate_s, ttl_s;
  std::optional<double> min_confidence;
  bool operator==(const cache_directives&) const = default;
};

struct submit {
  std::vector<prompt> items; ///< exactly one unless `is_batch`; none in a part that only ends it
  bool is_batch = false;
  std::string job;                   ///< of a later part: the batch it belongs to
  bool more = false;                 ///< of a batch in parts: another part follows
  std::optional<std::uint32_t> part; ///< number of this part
  std::string model;
  std::string prefix; ///< stands before the text of every input
  sampling params;
  wire::mode mode = mode::job;
  bool wait_result = false;
  std::optional<bool> durable;
  std::string key;
  std::optional<job_class> cls;
  std::optional<std::int64_t> deadline_ms;
  std::optional<wall_time> deadline, not_before;
  std::optional<std::int64_t> ttl_result_s;
  std::optional<std::uint32_t> quality_retries;
  std::optional<bool> cancel_on_disconnect;
  cache_directives cache;
  std::optional<std::uint32_t> credit;
  std::map<std::string, std::string> meta;
  bool trace = false;

  /// Hash of the request without what does not change the job (key, credit, wait, trace). Only
  /// where there is a key; not encoded.
  hash128 fingerprint;

  /// With the default of the mode.
  [[nodiscard]] bool is_durable() const noexcept { return durable.value_or(mode == mode::job); }
  bool operator==(const submit&) const = default;
};

/// Bounds that the configuration sets.
struct submit_bounds {
  std::uint32_t max_tokens = 4096;
  std::uint32_t batch_items = 50000;
};

inline constexpr std::uint32_t default_credit = 64;
inline constexpr std::size_t max_prefix_bytes = 1024;
inline constexpr std::int64_t max_batch_parts = 100'000;
inline constexpr std::int64_t max_deadline_ms = 30ll * 24 * 3600 * 1000;
inline constexpr std::int64_t max_not_before_s = 366ll * 24 * 3600;

/// Reads a body that parse_object accepted. Throws refusal (E_FIELD).
[[nodiscard]] submit decode_submit(const nlohmann::json& body, const submit_bounds& bounds);

/// The body of this submit; what has its default is left out. decode_submit gives it back.
[[nodiscard]] nlohmann::json encode_submit(const submit& what);

/// Reads `params` alone; `path` is where they stand. For clients that take them from elsewhere.
[[nodiscard]] sampling decode_sampling(const nlohmann::json& params, const std::string& path,
                                       const submit_bounds& bounds);

} // namespace bitnetd::wire
