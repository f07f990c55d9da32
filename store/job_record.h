// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "store/job_id.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::store {

/// The life of a job. The numbers are stored and never change meaning.
enum class job_state : std::uint8_t {
  accepted = 0,
  queued = 1,
  scheduled = 2,
  running = 3,
  done = 4,
  failed = 5,
  cancelled = 6,
  expired = 7,
  dead = 8, ///< it was running in too many crashes
};
inline constexpr std::uint8_t n_job_states = 9;

/// Terminal states never change.
[[nodiscard]] constexpr bool is_terminal(job_state state) noexcept {
  return state >= job_state::done;
}
[[nodiscard]] std::string_view name(job_state state) noexcept;
[[nodiscard]] std::optional<job_state> job_state_from(std::string_view name) noexcept;

/// In the order in which waiting jobs are released. The numbers are stored.
enum class job_class : std::uint8_t { interactive = 0, normal = 1, batch = 2, background = 3 };
inline constexpr std::uint8_t n_job_classes = 4;

[[nodiscard]] std::string_view name(job_class cls) noexcept;
[[nodiscard]] std::optional<job_class> job_class_from(std::string_view name) noexcept;

/// One durable job as the journal keeps it. Times are wall microseconds; 0 = not yet, or none.
struct job_record {
  job_id id;
  std::string principal; ///< whose job it is; 1 to 256 bytes

  // A batch: the parent counts its items, each child names parent and index.
  std::optional<job_id> parent;
  std::uint32_t index = 0; ///< of a child within its parent
  bool is_batch = false;   ///< a parent: it has items and is not computed itself
  std::uint32_t items = 0; ///< of a parent: children stored so far
  std::uint32_t parts = 0; ///< of a parent: parts taken so far (the next part has this number)
  bool more = false;       ///< of a parent: further parts are expected

  std::string key;     ///< idempotency key; empty: none; at most 128 bytes
  hash128 fingerprint; ///< of the body that came with the key

  job_state state = job_state::accepted;
  job_class cls = job_class::normal;
  std::int64_t created_us = 0;
  std::int64_t started_us = 0; ///< the latest start
  std::int64_t ended_us = 0;
  std::int64_t deadline_us = 0;
  std::int64_t not_before_us = 0;                      ///< late start allowed, early never
  std::uint32_t attempts = 0;                          ///< how many processes died while it ran
  std::int64_t retention_us = 24ll * 3600 * 1'000'000; ///< kept this long after it ended

  std::string model;
  std::string options; ///< what else the ledger needs to run it again; opaque here; at most 64 KiB
  std::string error;   ///< one line for failed, expired, dead; empty otherwise

  /// The request as received, JSON. Written by accept; find and list leave it empty
  /// (jobs_db::request reads it). At most 64 MiB.
  std::string request;

  // Kept by the store; what a caller sets here is ignored.
  std::uint64_t request_bytes = 0;
  std::uint64_t result_bytes = 0;
  std::uint64_t output_tokens = 0; ///< set when the job ends; before that see output_position
  std::uint64_t output_bytes = 0;  ///< text bytes, likewise

  bool operator==(const job_record&) const = default;
};

/// Some output of one job, as it was flushed.
struct output_row {
  std::uint64_t first_token = 0; ///< index of its first token within the job
  std::uint64_t offset = 0;      ///< of its first text byte within the job
  std::vector<std::uint32_t> tokens;
  std::string text; ///< may be empty, or end within a UTF-8 sequence

  bool operator==(const output_row&) const = default;
};

/// Where the stored output of a job ends.
struct output_position {
  std::uint64_t tokens = 0;
  std::uint64_t bytes = 0;

  bool operator==(const output_position&) const = default;
};

/// What an idempotency key is bound to.
struct key_entry {
  job_id job;
  hash128 fingerprint;
  std::int64_t until_us = 0; ///< 0 while the job is stored; then the time until the key stays bound

  bool operator==(const key_entry&) const = default;
};

} // namespace bitnetd::store
