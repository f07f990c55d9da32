// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/session.h"

#include <string>

// What an operator asks and says.

namespace bitnetd::ctl {

[[nodiscard]] int run_ping(const session& with);
[[nodiscard]] int run_models(const session& with);
/// `brief`: a few lines for people instead of everything.
[[nodiscard]] int run_stats(const session& with, bool brief);
[[nodiscard]] int run_metrics(const session& with);
[[nodiscard]] int run_reload(const session& with, bool dry_run);
/// `action`: show, list or use.
[[nodiscard]] int run_profile(const session& with, const std::string& action,
                              const std::string& name);
/// With `wait`: until nothing is open any more, or the time is over (exit status 4).
[[nodiscard]] int run_drain(const session& with, std::optional<std::chrono::seconds> wait);
[[nodiscard]] int run_undrain(const session& with);
/// Jobs that were running in two crashes: `action` is ls, retry or purge; purge without jobs is
/// all.
[[nodiscard]] int run_dead(const session& with, const std::string& action,
                           const std::vector<std::string>& jobs);
/// The requests of ended jobs as new jobs.
[[nodiscard]] int run_requeue(const session& with, const std::vector<std::string>& jobs);
/// Any request as it is; replies until one that ends it.
[[nodiscard]] int run_raw(const session& with, const std::string& type, const std::string& body,
                          bool admin);

/// The few lines of `stats --brief` and `top`.
[[nodiscard]] std::string brief_stats(const json& stats);

} // namespace bitnetd::ctl
