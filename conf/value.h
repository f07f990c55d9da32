// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitnetd::conf {

/// How the value of a key is written and what it holds as `value`.
enum class value_type {
  boolean,       ///< bool: true, false, on, off, yes, no
  whole,         ///< int64: decimal digits
  real,          ///< double: 0.5, 1, 1e-3; always with a decimal point, whatever the locale
  size,          ///< int64 bytes: 8MiB, 256 MiB, 1GiB, or a plain number of bytes
  duration,      ///< int64 in the key's unit: 250ms, 30s, 24h, or a plain number in that unit
  word,          ///< string: one of the key's choices
  name,          ///< string: a letter or digit, then letters, digits and . _ - : @ +; at most 64
  optional_name, ///< a name or ""
  file_path,     ///< string
  endpoint,      ///< string: ipc://PATH
  file_mode,     ///< int64: octal, such as 0660
  cpu_list       ///< vector<int>: [0, 1]
};

/// The value of any key; monostate: not given, and there is no default.
using value =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<int>>;

/// A scalar that was read, or why not: `error` says what is wrong with the text and is empty when
/// only the type does not fit.
struct scalar_result {
  bool ok = false;
  value got;
  std::string error;
};

/// Milliseconds in one of a duration's units (ms, s, min, h, d; m is min); 0 for another word.
[[nodiscard]] std::int64_t milliseconds_in(std::string_view unit);

[[nodiscard]] scalar_result read_boolean(std::string_view text);
/// Decimal digits with an optional minus; no leading zeros, since YAML 1.1 read those as octal.
[[nodiscard]] scalar_result read_whole(std::string_view text);
/// Finite numbers only.
[[nodiscard]] scalar_result read_real(std::string_view text);
/// B, KiB, MiB, GiB, TiB; decimal units are refused, because people mean different things by them.
[[nodiscard]] scalar_result read_size(std::string_view text);
/// In `unit` (ms or s); a time that is no whole number of units is refused.
[[nodiscard]] scalar_result read_duration(std::string_view text, std::string_view unit);
/// Three octal digits, a leading zero allowed.
[[nodiscard]] scalar_result read_file_mode(std::string_view text);
[[nodiscard]] bool is_name(std::string_view text);

/// As one would write it in YAML: 8MiB, 24h, 0660, [0, 1], "a: b".
[[nodiscard]] std::string write_value(const value& v, value_type type, std::string_view unit);

} // namespace bitnetd::conf
