// SPDX-License-Identifier: MIT
#include "conf/value.h"

#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>
#include <system_error>

namespace bitnetd::conf {

namespace {

struct unit_of_measure {
  std::string_view name;
  std::int64_t factor;
};

// From large to small, as writing wants them.
constexpr std::array<unit_of_measure, 5> size_units{{{"TiB", std::int64_t{1} << 40},
                                                     {"GiB", std::int64_t{1} << 30},
                                                     {"MiB", std::int64_t{1} << 20},
                                                     {"KiB", std::int64_t{1} << 10},
                                                     {"B", 1}}};
constexpr std::array<unit_of_measure, 5> time_units{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};

scalar_result good(value v) { return {true, std::move(v), {}}; }
scalar_result bad(std::string why = {}) { return {false, {}, std::move(why)}; }

// A number and the word after it, "256 MiB" -> {256, "MiB"}.
struct measured {
  scalar_result number;
  std::string_view unit;
};

measured split(std::string_view text) {
  const auto end =
      std::find_if_not(text.begin(), text.end(), [](char c) { return is_digit(c) || c == '-'; });
  const auto digits = static_cast<std::size_t>(end - text.begin());
  auto unit = text.substr(digits);
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  return {read_whole(text.substr(0, digits)), unit};
}

// Whether YAML reads the text back as this very text when it stands without quotes.
bool plain_is_safe(std::string_view text) {
  const auto allowed = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' ||
           c == '.' || c == '_' || c == '-' || c == ':' || c == '+' || c == '@';
  };
  constexpr std::string_view special_first = "-:@";
  constexpr std::array<std::string_view, 4> words_of_yaml{"null", "Null", "NULL", "~"};
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed) &&
         special_first.find(text.front()) == std::string_view::npos && text.back() != ':' &&
         std::find(words_of_yaml.begin(), words_of_yaml.end(), text) == words_of_yaml.end();
}

std::string write_text(std::string_view text) {
  if (plain_is_safe(text))
    return std::string{text};
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  return out + '"';
}

// In the largest unit of which it is a whole number of at least `least_count`; times take two, so
// that a day is 24h. Never in a unit below that of the key.
std::string write_measured(std::int64_t amount, std::span<const unit_of_measure> units,
                           std::int64_t least_factor, std::int64_t least_count) {
  for (const auto& [name, factor] : units)
    if (factor >= least_factor && amount % factor == 0 && amount / factor >= least_count)
      return std::to_string(amount / factor) + std::string{name};
  for (const auto& [name, factor] : units)
    if (factor == least_factor)
      return std::to_string(amount / factor) + std::string{name};
  return std::to_string(amount);
}

std::string write_real(double number) {
  std::array<char, 32> out{};
  const auto end = std::to_chars(out.data(), out.data() + out.size(), number).ptr;
  return {out.data(), end};
}

std::string write_whole(std::int64_t number, value_type type, std::string_view unit) {
  if (type == value_type::size)
    return write_measured(number, size_units, 1, 1);
  if (type == value_type::duration) {
    const auto factor = milliseconds_in(unit);
    return write_measured(number * factor, time_units, factor, 2);
  }
  if (type == value_type::file_mode) {
    std::array<char, 16> out{};
    std::snprintf(out.data(), out.size(), "%04o", static_cast<unsigned>(number));
    return out.data();
  }
  return std::to_string(number);
}

} // namespace

std::int64_t milliseconds_in(std::string_view unit) {
  if (unit == "m")
    unit = "min";
  for (const auto& [name, factor] : time_units)
    if (name == unit)
      return factor;
  return 0;
}

scalar_result read_boolean(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes")
    return good(true);
  if (text == "false" || text == "off" || text == "no")
    return good(false);
  return bad();
}

scalar_result read_whole(std::string_view text) {
  const auto digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit))
    return bad();
  if (digits.size() > 1 && digits.front() == '0')
    return bad("a leading zero is ambiguous");
  std::int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size())
    return bad("the number is too large");
  return good(number);
}

scalar_result read_real(std::string_view text) {
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size() || !std::isfinite(number))
    return bad();
  return good(number);
}

scalar_result read_size(std::string_view text) {
  const auto [number, unit] = split(text);
  if (!number.ok)
    return number;
  if (unit.empty())
    return number;
  for (const auto& [name, factor] : size_units)
    if (name == unit) {
      std::int64_t bytes = 0;
      if (__builtin_mul_overflow(std::get<std::int64_t>(number.got), factor, &bytes))
        return bad("the size is too large");
      return good(bytes);
    }
  return bad("the units are B, KiB, MiB, GiB, TiB");
}

scalar_result read_duration(std::string_view text, std::string_view unit_of_key) {
  const auto [number, unit] = split(text);
  if (!number.ok || unit.empty())
    return number;
  const auto factor = milliseconds_in(unit);
  if (factor == 0)
    return bad("the units are ms, s, min, h, d");
  std::int64_t total = 0;
  if (__builtin_mul_overflow(std::get<std::int64_t>(number.got), factor, &total))
    return bad("the time is too long");
  const auto least = milliseconds_in(unit_of_key);
  if (total % least != 0)
    return bad("no whole number of " + std::string{unit_of_key == "s" ? "seconds" : unit_of_key});
  return good(total / least);
}

scalar_result read_file_mode(std::string_view text) {
  if (text.size() == 4 && text.front() == '0')
    text.remove_prefix(1);
  if (text.size() != 3)
    return bad();
  std::int64_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7')
      return bad();
    mode = mode * 8 + (c - '0');
  }
  return good(mode);
}

bool is_name(std::string_view text) {
  const auto alphanumeric = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  constexpr std::string_view others = "._-:@+";
  return !text.empty() && text.size() <= 64 && alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return alphanumeric(c) || others.find(c) != std::string_view::npos;
         });
}

std::string write_value(const value& v, value_type type, std::string_view unit) {
  struct writer {
    value_type type;
    std::string_view unit;
    std::string operator()(std::monostate) const { return "none"; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(std::int64_t n) const { return write_whole(n, type, unit); }
    std::string operator()(double d) const { return write_real(d); }
    std::string operator()(const std::string& s) const { return write_text(s); }
    std::string operator()(const std::vector<int>& list) const {
      std::string out = "[";
      for (const int n : list)
        out += (out.size() > 1 ? ", " : "") + std::to_string(n);
      return out + ']';
    }
  };
  return std::visit(writer{type, unit}, v);
}

} // namespace bitnetd::conf
