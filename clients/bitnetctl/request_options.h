// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::ctl {

/// What `submit` and `batch` let one say about a job. Bounds are the daemon's to check: it answers
/// with the field and the bound.
struct request_options {
  std::string model, prefix, cls, key, cache;
  std::optional<std::uint64_t> max_tokens, top_k, seed, quality_retries, deadline_ms, ttl_result_s;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::string not_before;
  std::vector<std::string> stop, meta;
  bool ignore_eos = false, trace = false;

  /// Declares the options of a command.
  void add_to(CLI::App& command);
  /// Puts them into the body of a submit. Throws bad_input for a --meta or --cache that cannot be
  /// read.
  void put_into(nlohmann::json& body) const;
};

} // namespace bitnetd::ctl
