// SPDX-License-Identifier: MIT
#pragma once

#include "store/job_record.h"
#include "store/jobs_db.h"
#include "store/status.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bitnetd::store {

// Values of the jobs database, in envelopes (envelope.h); docs/store.md has the fields. `key` is
// the key that a value is stored under. Decoding answers corrupt or newer_schema.

/// Of the records' envelopes.
inline constexpr std::uint8_t job_schema = 1;
/// Of the database as a whole: its column families and what their rows mean.
inline constexpr int journal_schema = 2;

/// The record without request (a row of its own). Fields that have their default are left out.
[[nodiscard]] std::string encode_job(std::string_view key, const job_record& job);
result<job_record> decode_job(std::string_view key, std::string_view stored);

/// Request and result: the bytes as they are.
[[nodiscard]] std::string encode_blob(std::string_view key, std::string_view bytes);
result<std::string> decode_blob(std::string_view key, std::string_view stored);

/// The value of an output row; the key has `first_token` as well.
[[nodiscard]] std::string encode_output(std::string_view key, const output_row& row);
result<output_row> decode_output(std::string_view key, std::string_view stored);

/// Always the same size.
[[nodiscard]] std::string encode_key_entry(std::string_view key, const key_entry& entry);
result<key_entry> decode_key_entry(std::string_view key, std::string_view stored);

[[nodiscard]] std::string encode_totals(std::string_view key, const job_totals& totals);
result<job_totals> decode_totals(std::string_view key, std::string_view stored);

[[nodiscard]] std::string encode_loss(std::string_view key, const journal_loss& loss);
result<journal_loss> decode_loss(std::string_view key, std::string_view stored);

} // namespace bitnetd::store
