// SPDX-License-Identifier: MIT
#include "daemon/wire_errors.h"

#include <algorithm>
#include <array>

namespace bitnetd::wire {

namespace {

constexpr std::array table{
    errors::version,  errors::frame,     errors::json,       errors::field,
    errors::too_big,  errors::grammar,   errors::config,     errors::auth,
    errors::role,     errors::not_yours, errors::busy,       errors::draining,
    errors::starting, errors::disk,      errors::no_job,     errors::key_conflict,
    errors::deadline, errors::cancelled, errors::not_cached, errors::model,
    errors::numeric,  errors::context,   errors::internal,
};

} // namespace

std::span<const error_kind> all_errors() noexcept { return table; }

const error_kind& error_with_code(int code) noexcept {
  const auto found = std::ranges::find(table, code, &error_kind::code);
  return found == table.end() ? table.back() : *found;
}

} // namespace bitnetd::wire
