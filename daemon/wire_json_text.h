// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitnetd::wire {

/// Writes JSON as text, from front to back: what goes out is told once and needs no tree. Text is
/// escaped; what of it is no UTF-8 becomes U+FFFD. Numbers that are not finite are null.
class json_text {
public:
  json_text& begin_object();
  json_text& end_object();
  json_text& begin_array();
  json_text& end_array();
  json_text& name(std::string_view name);

  json_text& value(std::string_view text);
  json_text& value(const char* text) { return value(std::string_view(text)); }
  json_text& value(bool yes);
  json_text& value(double number); ///< with the fewest digits that tell it from all others
  json_text& value(float number);
  template <std::integral T>
  requires(!std::same_as<T, bool>) json_text& value(T number) {
    if constexpr (std::signed_integral<T>)
      return integer(static_cast<std::int64_t>(number));
    else
      return natural(static_cast<std::uint64_t>(number));
  }
  json_text& value(const std::vector<std::string>& texts);
  json_text& value(const std::map<std::string, std::string>& texts);
  /// JSON text of somebody else.
  json_text& raw(std::string_view json);

  template <class T> json_text& field(std::string_view its_name, const T& its_value) {
    return name(its_name).value(its_value);
  }
  /// What is absent, or empty, is left out.
  template <class T>
  json_text& field(std::string_view its_name, const std::optional<T>& its_value) {
    return its_value ? name(its_name).value(*its_value) : *this;
  }
  json_text& field_if_any(std::string_view its_name, std::string_view text) {
    return text.empty() ? *this : name(its_name).value(text);
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

private:
  json_text& integer(std::int64_t number);
  json_text& natural(std::uint64_t number);
  template <class T> json_text& digits(T number);
  template <class T> json_text& real(T number);
  void next(); ///< a comma, where something stands before
  json_text& begin(char bracket);
  json_text& end(char bracket);
  void quote(std::string_view text);

  std::string out_;
  bool follows_ = false;
};

} // namespace bitnetd::wire
