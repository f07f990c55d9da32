// SPDX-License-Identifier: MIT
#pragma once

#include "store/database.h"
#include "store/job_record.h"
#include "store/jobs_db.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitnetd::store::jobs {

// Column families of the jobs database and the keys of their rows. docs/store.md has the table.

enum column_index : std::size_t {
  sys,       // schema, totals, losses
  records,   // job -> record
  requests,  // job -> request as received
  results,   // job -> result
  output,    // job, token, offset -> tokens, text
  keys,      // principal, idempotency key -> job, fingerprint, until
  owners,    // principal (empty: everybody), job -> nothing; jobs without parent
  children,  // parent, index -> job
  open,      // class, deadline, principal, job -> not_before; jobs not ended but batches
  ended,     // end, job -> nothing; jobs without parent
  expiry,    // until, what -> nothing
  live,      // job -> what a start of the daemon looks at: open batches, running jobs
  waking,    // not_before, job -> row of `open`
  completed, // parent, number in the order of ends -> child, index, state
  dead,      // end, job -> nothing; until an operator decides
};

inline constexpr std::array<column, 15> columns = {{{"default", column_kind::index},
                                                    {"job", column_kind::lookup},
                                                    {"request", column_kind::text},
                                                    {"result", column_kind::text},
                                                    {"output", column_kind::index},
                                                    {"key", column_kind::lookup},
                                                    {"owner", column_kind::index, true},
                                                    {"child", column_kind::index},
                                                    {"open", column_kind::index},
                                                    {"ended", column_kind::index},
                                                    {"expiry", column_kind::index},
                                                    {"live", column_kind::index},
                                                    {"waking", column_kind::index},
                                                    {"completed", column_kind::index},
                                                    {"dead", column_kind::index}}};

inline constexpr std::string_view schema_key = "schema";
inline constexpr std::string_view totals_key = "totals";
inline constexpr std::string_view loss_prefix = "loss/"; // then the time, 8 bytes

[[nodiscard]] std::string loss_key(std::int64_t found_us);
[[nodiscard]] std::string job_key(const job_id& job);
[[nodiscard]] std::string output_key(const job_id& job, std::uint64_t token, std::uint64_t offset);
[[nodiscard]] std::string idempotency_key(std::string_view principal, std::string_view key);
[[nodiscard]] std::string owner_prefix(std::string_view principal);
[[nodiscard]] std::string owner_key(std::string_view principal, const job_id& job);
[[nodiscard]] std::string child_key(const job_id& parent, std::uint32_t index);
[[nodiscard]] std::string open_key(const open_job& job);
[[nodiscard]] std::string open_value(const open_job& job);
result<open_job> read_open(std::string_view key, std::string_view value);
/// The first row of a class, and the first that is due after `deadline_us`.
[[nodiscard]] std::string open_class_key(job_class cls);
[[nodiscard]] std::string open_after_key(job_class cls, std::int64_t deadline_us);
[[nodiscard]] std::string ended_key(std::int64_t ended_us, const job_id& job);

// An expiry row speaks of a job, or of an idempotency key (the rest is its row's key).
enum class expiring : std::uint8_t { job = 0, key = 1 };
[[nodiscard]] std::string expiry_key(std::int64_t until_us, expiring what, std::string_view row);

// A live row says why its job is looked at when the daemon starts.
inline constexpr std::string_view live_batch = "b", live_running = "r";

[[nodiscard]] std::string waking_key(std::int64_t not_before_us, const job_id& job);
[[nodiscard]] std::string completed_key(const job_id& parent, std::uint32_t number);
[[nodiscard]] std::string completed_value(const job_id& child, std::uint32_t index,
                                          job_state state);
result<completed_item> read_completed(std::string_view key, std::string_view value);
[[nodiscard]] std::string dead_key(std::int64_t ended_us, const job_id& job);

} // namespace bitnetd::store::jobs
