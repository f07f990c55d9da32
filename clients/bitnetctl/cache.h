// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/session.h"

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include <string>

// What people ask of the cache and tell it.

namespace bitnetd::ctl {

struct cache_options {
  std::string entry, verdict = "wrong", text, name_space, principal, model, tag;
  bool everything = false;
};

/// What is kept and served, and what switching similarity on would serve with which error.
[[nodiscard]] int run_cache_stats(const session& with);
/// Why a chat with this one question hits or misses; nothing is computed.
[[nodiscard]] int run_cache_explain(const session& with, const cache_options& asked);
[[nodiscard]] int run_cache_get(const session& with, const cache_options& asked);
[[nodiscard]] int run_cache_del(const session& with, const cache_options& asked);
/// `stays`: pin, else unpin.
[[nodiscard]] int run_cache_pin(const session& with, const cache_options& asked, bool stays);
/// Throws bad_input when it is not said what.
[[nodiscard]] int run_cache_flush(const session& with, const cache_options& asked);
[[nodiscard]] int run_cache_report(const session& with, const cache_options& asked);

/// The screen of `cache explain`: a result's or an error's cache block in words.
[[nodiscard]] std::string explained(const nlohmann::json& cache);
/// The screen of `cache stats`, from the `cache` object of stats.
[[nodiscard]] std::string cache_report(const nlohmann::json& cache);

} // namespace bitnetd::ctl
