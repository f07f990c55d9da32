// SPDX-License-Identifier: MIT
#pragma once

#include "store/jobs_db.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace bitnetd::actors {

/// What `status` and `list` tell of one job.
struct job_status {
  store::job_id id;
  std::string principal;
  store::job_state state = store::job_state::accepted;
  store::job_class cls = store::job_class::normal;
  std::string model;
  std::uint32_t attempt = 1;
  std::int64_t created_us = 0, started_us = 0, ended_us = 0, deadline_us = 0; ///< 0: not known
  std::optional<store::job_id> parent;
  std::uint32_t index = 0;
  std::uint32_t children = 0, children_done = 0, children_failed = 0; ///< of a batch
  std::string error;                                                  ///< of one that ended badly
};

/// The journal's record in that form.
[[nodiscard]] job_status status_of(const store::job_record& record);

/// Where a waiting job stands in the order of release.
[[nodiscard]] store::open_job order_of(const job_status& job);

/// One object of `status` and `list` (docs/protocol.md).
[[nodiscard]] nlohmann::json to_json(const job_status& what);

} // namespace bitnetd::actors
