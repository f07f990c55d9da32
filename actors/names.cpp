// SPDX-License-Identifier: MIT
#include "actors/names.h"

#include <array>
#include <cstddef>

namespace bitnetd::actors {

namespace {

constexpr std::array<std::string_view, 3> kinds{"completion", "chat", "embedding"};
constexpr std::array<std::string_view, 3> modes{"sync", "stream", "job"};
constexpr std::array<std::string_view, 5> plans{"direct", "chunked-prefill", "grouped-batch",
                                                "embedding-only", "background-fill"};
constexpr std::array<std::string_view, 7> cache_words{"BYPASS",     "HIT",     "COALESCED", "MISS",
                                                      "NOT_CACHED", "REFUSED", "STALE"};
constexpr std::array<std::string_view, 5> finishes{"stop", "length", "cancel", "numeric",
                                                   "refused"};

template <class Enum, std::size_t N>
constexpr std::string_view name_of(const std::array<std::string_view, N>& words,
                                   Enum value) noexcept {
  return words[static_cast<std::size_t>(value)];
}

} // namespace

std::string_view to_string(job_kind kind) noexcept { return name_of(kinds, kind); }
std::string_view to_string(reply_mode mode) noexcept { return name_of(modes, mode); }
std::string_view to_string(strategy plan) noexcept { return name_of(plans, plan); }
std::string_view to_string(cache_status status) noexcept { return name_of(cache_words, status); }
std::string_view to_string(finish_kind finish) noexcept { return name_of(finishes, finish); }

} // namespace bitnetd::actors
