// SPDX-License-Identifier: MIT
#pragma once

#include "actors/messages.h"

#include <string_view>

namespace bitnetd::actors {

// The words for what messages carry: one spelling for wire, metrics and logs. Those of job states
// and classes are store::name().
[[nodiscard]] std::string_view to_string(job_kind kind) noexcept;
[[nodiscard]] std::string_view to_string(reply_mode mode) noexcept;
[[nodiscard]] std::string_view to_string(strategy plan) noexcept;
[[nodiscard]] std::string_view to_string(cache_status status) noexcept;
[[nodiscard]] std::string_view to_string(finish_kind finish) noexcept;

} // namespace bitnetd::actors
