// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/session.h"

#include <string>
#include <vector>

// status, result, ls, cancel, ack: questions about jobs.

namespace bitnetd::ctl {

struct list_options {
  std::vector<std::string> states;
  std::string batch;
  std::size_t limit = 100; ///< 0: all
};

[[nodiscard]] int run_status(const session& with, const std::vector<std::string>& jobs);
/// Prints the text of the answer. A job that has not ended within `wait` is exit status 4.
[[nodiscard]] int run_result(const session& with, const std::string& job,
                             std::chrono::seconds wait);
[[nodiscard]] int run_list(const session& with, const list_options& options);
[[nodiscard]] int run_cancel(const session& with, const std::vector<std::string>& jobs);
[[nodiscard]] int run_ack(const session& with, const std::vector<std::string>& jobs);

/// Waits for the end of a job in steps that the protocol allows. Returns the reply: a result, an
/// error, or a status when the time was over.
[[nodiscard]] message wait_for_result(connection& daemon, const std::string& job,
                                      std::chrono::seconds wait, milliseconds answer_time);

} // namespace bitnetd::ctl
