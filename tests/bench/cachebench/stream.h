// SPDX-License-Identifier: MIT
#pragma once

#include "tests/bench/cachebench/family_file.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::bench {

/// What is asked, whatever the words: two requests have the same answer exactly when these are
/// equal.
struct intent {
  std::size_t family = 0, sense = 0;
  std::vector<std::string> values; ///< by slot; exchangeable ones in order

  auto operator<=>(const intent&) const = default;
};

struct request {
  std::size_t truth = 0; ///< index into stream::intents
  std::string text;
};

/// A stream of requests with its truth.
struct stream {
  std::vector<intent> intents;
  std::vector<request> requests;
};

struct stream_options {
  std::uint64_t seed = 1;
  std::size_t requests = 20'000;
  double zipf = 0.9;          ///< exponent of the popularity of intents
  std::size_t popular = 1500; ///< intents that come again
  double near_miss = 0.25;    ///< share of requests: one thing changed in a popular intent
  double novel = 0.25;        ///< share of requests: drawn anew
  double noise = 0.3;         ///< share of wordings with typing noise (case, politeness, typos)
};

[[nodiscard]] stream make_stream(const family_file& from, const stream_options& options);

/// What tells two intents apart: number, entity, unit, order, negation, …; "unrelated" for
/// intents of different families, "several" where more than one thing differs.
[[nodiscard]] std::string difference(const family_file& from, const intent& a, const intent& b);

} // namespace bitnetd::bench
