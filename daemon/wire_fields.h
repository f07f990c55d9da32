// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "daemon/wire_errors.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::wire {

/// Reads the fields of one object of a request and checks each. Every function throws refusal
/// (E_FIELD with the field's path and what was expected); an absent field is an empty optional.
/// The object must outlive the reader.
class field_reader {
public:
  /// `path`: where the object stands, as "params"; empty for the body. Refuses every key that is
  /// not in `known`, naming the nearest one.
  field_reader(const nlohmann::json& object, std::string path,
               std::initializer_list<std::string_view> known);

  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::optional<bool> boolean(std::string_view name) const;
  /// Bounds are inclusive.
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name, std::int64_t least,
                                                    std::int64_t most) const;
  /// A number from `least` to `most`; an open bound is itself refused.
  [[nodiscard]] std::optional<double> number(std::string_view name, double least, double most,
                                             bool least_open = false, bool most_open = false) const;
  /// Lengths in bytes.
  [[nodiscard]] std::optional<std::string> text(std::string_view name, std::size_t least,
                                                std::size_t most) const;
  /// A text without control characters: names and keys.
  [[nodiscard]] std::optional<std::string> label(std::string_view name, std::size_t most) const;
  /// Index of one of the words.
  [[nodiscard]] std::optional<std::size_t>
  choice(std::string_view name, std::initializer_list<std::string_view> words) const;
  /// RFC 3339, as "2026-11-20T08:00:00Z" or with an offset.
  [[nodiscard]] std::optional<wall_time> time(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> job_id(std::string_view name) const;

  /// The array or object itself, for the caller to go through; nullptr when absent.
  [[nodiscard]] const nlohmann::json* array(std::string_view name, std::size_t least,
                                            std::size_t most) const;
  [[nodiscard]] const nlohmann::json* object(std::string_view name, std::size_t most) const;

  /// Refuses when a required field is absent.
  void require(std::string_view name) const;
  /// Path of a field of this object, as "items[3].prompt".
  [[nodiscard]] std::string path_of(std::string_view name) const;
  /// Throws E_FIELD for a field of this object: "PATH: MESSAGE".
  [[noreturn]] void refuse(std::string_view name, const std::string& message,
                           std::optional<std::int64_t> limit = {}) const;

private:
  [[nodiscard]] const nlohmann::json* find(std::string_view name) const;

  const nlohmann::json& object_;
  std::string path_;
};

/// Throws E_FIELD.
[[noreturn]] void refuse_field(const std::string& path, const std::string& message,
                               std::optional<std::int64_t> limit = {});

/// What a value is, in the words of a refusal: `"many"`, `1.5`, `an array`.
[[nodiscard]] std::string shown(const nlohmann::json& value);

/// True for the text form of a job's id: a UUID of version 7.
[[nodiscard]] bool is_job_id(std::string_view text) noexcept;

/// Reads an RFC 3339 time of the years 1970 to 2200; fractions are kept to the microsecond.
[[nodiscard]] std::optional<wall_time> parse_time(std::string_view text) noexcept;

} // namespace bitnetd::wire
