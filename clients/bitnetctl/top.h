// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/session.h"

namespace bitnetd::ctl {

struct top_options {
  bool once = false;
  std::chrono::milliseconds interval{1000};
};

/// `top`: a live screen of figures, rates and running jobs, until q, Ctrl-C or the daemon's end.
[[nodiscard]] int run_top(const session& with, const top_options& options);

} // namespace bitnetd::ctl
