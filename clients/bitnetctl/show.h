// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

// Replies as people read them.

namespace bitnetd::ctl {

/// Columns as wide as their widest cell; the first row is the heading.
void show_table(std::ostream& out, const std::vector<std::vector<std::string>>& rows);

/// What each phase decided and how long it took.
void show_trace(std::ostream& out, const nlohmann::json& trace);

/// One line about a result: state, tokens, times, cache.
[[nodiscard]] std::string summary(const nlohmann::json& result);

/// The jobs of `status` and `list`.
void show_jobs(std::ostream& out, const nlohmann::json& jobs);

[[nodiscard]] std::string duration_text(double milliseconds);
[[nodiscard]] std::string bytes_text(double bytes);
/// Microseconds since 1970 in local time.
[[nodiscard]] std::string time_text(std::int64_t wall_us);

} // namespace bitnetd::ctl
