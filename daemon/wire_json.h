// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/wire_errors.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string_view>
#include <variant>

namespace bitnetd::wire {

/// What a body may not exceed; the message of a refusal names the one that was.
struct json_bounds {
  std::size_t depth = 32;
  std::size_t keys_per_object = 2048;
  std::size_t values = 1'000'000;
};

/// Reads one JSON object, in one pass. Refused (E_JSON, with the byte where it went wrong):
/// anything that is not an object, a key twice, invalid UTF-8, lone surrogates, numbers no double
/// can hold, bytes after the end, and what exceeds the bounds. Memory used is proportional to the
/// text.
[[nodiscard]] std::variant<nlohmann::json, refusal> parse_object(std::string_view text,
                                                                 const json_bounds& bounds = {});

/// The same by the parser that can say where a text goes wrong; parse_object asks it for what is
/// long or wrong.
[[nodiscard]] std::variant<nlohmann::json, refusal> parse_carefully(std::string_view text,
                                                                    const json_bounds& bounds = {});

} // namespace bitnetd::wire
