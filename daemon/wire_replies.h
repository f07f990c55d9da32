// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/wire_errors.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What the daemon answers, and its JSON. Meaning of every field: docs/protocol.md.

namespace bitnetd::wire {

struct welcome {
  std::string server, epoch, role, principal, state;
  std::vector<std::string> models;
  std::uint64_t body_bytes = 0, frame_bytes = 0, max_tokens = 0, batch_items = 0;
  std::uint64_t open_jobs = 0, open_bytes = 0;
  std::uint32_t heartbeat_ms = 0;
  std::string events; ///< endpoint; empty: not asked for
};

struct pong {
  std::string t; ///< JSON; empty: none
  std::string epoch, state;
};

struct accepted {
  std::string job, epoch;
  bool durable = false, fsync = false, duplicate = false;
  std::uint32_t children = 0;
  std::optional<std::uint32_t> part;
  std::optional<std::uint64_t> position;
  std::optional<double> eta_ms;
};

struct delta {
  std::string job, text;
  std::uint64_t seq = 0, offset = 0;
  std::uint32_t n_tokens = 0;
};

struct cache_block {
  std::string status, tier, reason, veto;
  std::string explanation; ///< JSON; empty: none
  std::optional<double> similarity, confidence, wrong_bound;
  std::optional<std::int64_t> age_s, ttl_s;
  std::uint64_t entry = 0;
  bool stored = false;
  double saved_ms = 0;
};

struct trace_line {
  std::string phase, decision;
  std::int64_t started_us = 0, took_us = 0;
};

/// A refusal, or the bad end of a job.
struct error {
  int code = 150;
  std::string name, message, field;
  std::optional<std::int64_t> limit, retry_after_ms;
  std::string job, state;
  std::optional<cache_block> cache;
  std::vector<trace_line> trace;

  error() = default;
  explicit error(const refusal& why);
};

struct result {
  std::string job, state;
  bool is_batch = false;
  bool has_answer = false; ///< text or embedding, finish and usage mean something
  std::string text, finish;
  std::vector<float> embedding;
  std::uint32_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  double queue_ms = 0, prefill_ms = 0, decode_ms = 0, first_token_ms = 0, total_ms = 0;
  cache_block cache;
  std::string model, model_hash, profile, custom_id;
  std::uint64_t config_version = 0, seed = 0;
  std::uint32_t attempt = 1;
  std::optional<std::uint32_t> index;
  std::optional<double> mean_logprob;
  std::vector<std::string> failed_checks;
  std::vector<trace_line> trace;
  std::map<std::string, std::string> meta;
  std::optional<wire::error> error;
  std::vector<result> items; ///< of a batch
};

struct goodbye {
  std::string why;
  bool resume = true;
};

// The body of each, as JSON text. Invalid UTF-8 in a text becomes U+FFFD: a body always parses.
[[nodiscard]] std::string encode(const welcome& what);
[[nodiscard]] std::string encode(const pong& what);
[[nodiscard]] std::string encode(const accepted& what);
[[nodiscard]] std::string encode(const delta& what);
[[nodiscard]] std::string encode(const error& what);
[[nodiscard]] std::string encode(const result& what);
[[nodiscard]] std::string encode(const goodbye& what);

} // namespace bitnetd::wire
