// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bitnetd::wire {

/// One row of the table of errors (docs/protocol.md, "Errors").
struct error_kind {
  int code;
  std::string_view name;
  std::string_view retry; ///< no, later or same-key
};

namespace errors {
inline constexpr error_kind version{100, "E_VERSION", "no"};
inline constexpr error_kind frame{101, "E_FRAME", "no"};
inline constexpr error_kind json{102, "E_JSON", "no"};
inline constexpr error_kind field{103, "E_FIELD", "no"};
inline constexpr error_kind too_big{104, "E_TOO_BIG", "no"};
inline constexpr error_kind grammar{105, "E_GRAMMAR", "no"};
inline constexpr error_kind config{106, "E_CONFIG", "no"};
inline constexpr error_kind auth{110, "E_AUTH", "no"};
inline constexpr error_kind role{111, "E_ROLE", "no"};
inline constexpr error_kind not_yours{112, "E_NOT_YOURS", "no"};
inline constexpr error_kind busy{120, "E_BUSY", "later"};
inline constexpr error_kind draining{121, "E_DRAINING", "later"};
inline constexpr error_kind starting{122, "E_STARTING", "later"};
inline constexpr error_kind disk{123, "E_DISK", "later"};
inline constexpr error_kind no_job{130, "E_NO_JOB", "no"};
inline constexpr error_kind key_conflict{131, "E_KEY_CONFLICT", "no"};
inline constexpr error_kind deadline{132, "E_DEADLINE", "no"};
inline constexpr error_kind cancelled{133, "E_CANCELLED", "no"};
inline constexpr error_kind not_cached{134, "E_NOT_CACHED", "no"};
inline constexpr error_kind model{140, "E_MODEL", "no"};
inline constexpr error_kind numeric{141, "E_NUMERIC", "same-key"};
inline constexpr error_kind context{142, "E_CTX", "no"};
inline constexpr error_kind internal{150, "E_INTERNAL", "same-key"};
} // namespace errors

/// All rows, in the order of their codes.
[[nodiscard]] std::span<const error_kind> all_errors() noexcept;

/// The row with this code; E_INTERNAL's for a code that is not in the table.
[[nodiscard]] const error_kind& error_with_code(int code) noexcept;

/// Why a message was not accepted, as its sender is told. Thrown inside the parsers, returned at
/// their edge.
struct refusal {
  error_kind kind;
  std::string message;
  std::string field; ///< path of the field, as `params.top_k`; empty: none
  std::optional<std::int64_t> limit = {};
  std::optional<std::int64_t> retry_after_ms = {};
};

} // namespace bitnetd::wire
