// SPDX-License-Identifier: MIT
#include "daemon/wire_messages.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace bitnetd::wire {

namespace {

constexpr std::array<request_kind, 26> requests{{
    {"hello", role::read},       {"ping", role::read},           {"submit", role::submit},
    {"credit", role::read},      {"attach", role::read},         {"detach", role::read},
    {"status", role::read},      {"result", role::read},         {"list", role::read},
    {"cancel", role::submit},    {"ack", role::submit},          {"models", role::read},
    {"stats", role::read},       {"metrics", role::read},        {"dead.list", role::admin},
    {"dead.retry", role::admin}, {"dead.purge", role::admin},    {"job.requeue", role::admin},
    {"reload", role::admin},     {"profile", role::admin},       {"drain", role::admin},
    {"undrain", role::admin},    {"tokenize", role::submit},     {"detokenize", role::submit},
    {"cache", role::admin},      {"cache.report", role::submit},
}};

constexpr std::array<std::string_view, 18> replies{
    "welcome", "pong", "accepted", "delta",  "item",  "progress", "rewound", "result",  "status",
    "list",    "ok",   "error",    "models", "stats", "metrics",  "tokens",  "goodbye", "entry"};

// Levenshtein's distance, one row at a time. Words are short: names of fields and messages.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

} // namespace

std::string_view to_string(role may) noexcept {
  constexpr std::array<std::string_view, 3> words{"read", "submit", "admin"};
  return words[static_cast<std::size_t>(may)];
}

std::span<const request_kind> request_kinds() noexcept { return requests; }

const request_kind* find_request_kind(std::string_view type) noexcept {
  const auto found = std::ranges::find(requests, type, &request_kind::type);
  return found == requests.end() ? nullptr : &*found;
}

std::span<const std::string_view> reply_types() noexcept { return replies; }

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t longest = 64; // beyond it nobody meant a name
  std::string_view best;
  std::size_t least = word.size() > longest ? 0 : std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto candidate : candidates) {
    if (least == 0)
      break;
    if (const auto d = distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

} // namespace bitnetd::wire
