// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/request_options.h"
#include "clients/bitnetctl/session.h"

#include <string>

namespace bitnetd::ctl {

/// `submit`: one prompt, chat or embedding.
struct submit_options {
  std::string text, file, system;
  bool chat = false, embed = false;
  bool stream = false, wait = false, no_wait = false;
  std::optional<bool> durable;
  std::chrono::seconds silence{300}; ///< longest wait for the next word of the job
  request_options request;

  void add_to(CLI::App& command);
};

[[nodiscard]] int run_submit(const session& with, const submit_options& options);

/// `tail`: the output of a job from byte `offset` on, to its end.
[[nodiscard]] int run_tail(const session& with, const std::string& job, std::uint64_t offset,
                           std::chrono::seconds silence);

} // namespace bitnetd::ctl
