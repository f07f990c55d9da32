// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/session.h"

#include <nlohmann/json.hpp>

#include <string>

// What people ask of the cache.

namespace bitnetd::ctl {

/// What is kept and served, and what was measured of similar answers.
[[nodiscard]] int run_cache_stats(const session& with);
/// Why a chat with this one question hits or misses; nothing is computed.
[[nodiscard]] int run_cache_explain(const session& with, const std::string& question);

/// The screen of `cache stats`, from the `cache` object of stats.
[[nodiscard]] std::string cache_report(const nlohmann::json& cache);
/// The screen of `cache explain`: a result or an error with its cache block and trace.
[[nodiscard]] std::string explained(const nlohmann::json& reply);

} // namespace bitnetd::ctl
