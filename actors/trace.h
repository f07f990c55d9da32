// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <concepts>
#include <string>
#include <utility>

namespace bitnetd::actors {

/// One line of a job's trace: a phase's part from `began` to `ended`, and what it decided.
[[nodiscard]] inline trace_entry trace_line(std::string phase, const job& what, mono_time began,
                                            mono_time ended, std::string decision) {
  const auto us = [](auto duration) {
    return std::chrono::duration_cast<microseconds>(duration).count();
  };
  return {std::move(phase), us(began - what.what->arrived), us(ended - began), std::move(decision)};
}

/// Adds a line to the job's trace if its client asked for one; only then `decide` is called.
void add_trace(const char* phase, job& what, mono_time began, mono_time ended,
               std::invocable auto&& decide) {
  if (what.what->trace)
    what.trace.push_back(trace_line(phase, what, began, ended, decide()));
}

} // namespace bitnetd::actors
