// SPDX-License-Identifier: MIT
#include "daemon/wire_fields.h"

#include <charconv>
#include <chrono>

namespace bitnetd::wire {

namespace {

// Reads exactly `digits` decimal digits from the front of `text`.
std::optional<int> digits(std::string_view& text, std::size_t n) noexcept {
  int value = 0;
  if (text.size() < n)
    return {};
  for (const char c : text.substr(0, n)) {
    if (c < '0' || c > '9')
      return {};
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(n);
  return value;
}

bool skip(std::string_view& text, std::string_view any) noexcept {
  if (text.empty() || any.find(text.front()) == any.npos)
    return false;
  text.remove_prefix(1);
  return true;
}

// ".25" as microseconds; further digits are read and dropped.
std::optional<int> fraction(std::string_view& text) noexcept {
  if (!skip(text, "."))
    return 0;
  int value = 0;
  std::size_t n = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; ++n, text.remove_prefix(1))
    if (n < 6)
      value = value * 10 + (text.front() - '0');
  for (std::size_t i = n; i < 6; ++i)
    value *= 10;
  return n == 0 || n > 18 ? std::nullopt : std::optional(value);
}

// "Z", "+01:00" or "-05:30".
std::optional<std::chrono::minutes> zone(std::string_view& text) noexcept {
  if (skip(text, "Zz"))
    return std::chrono::minutes{0};
  const bool west = text.starts_with('-');
  if (!skip(text, "+-"))
    return {};
  const auto hours = digits(text, 2);
  const bool colon = skip(text, ":");
  const auto minutes = digits(text, 2);
  if (!hours || !colon || !minutes || *hours > 23 || *minutes > 59)
    return {};
  const std::chrono::minutes offset{*hours * 60 + *minutes};
  return west ? -offset : offset;
}

} // namespace

std::optional<wall_time> parse_time(std::string_view text) noexcept {
  using namespace std::chrono;
  const auto y = digits(text, 4);
  const bool dash1 = skip(text, "-");
  const auto mo = digits(text, 2);
  const bool dash2 = skip(text, "-");
  const auto d = digits(text, 2);
  const bool t = skip(text, "Tt ");
  const auto h = digits(text, 2);
  const bool colon1 = skip(text, ":");
  const auto mi = digits(text, 2);
  const bool colon2 = skip(text, ":");
  const auto s = digits(text, 2);
  if (!y || !dash1 || !mo || !dash2 || !d || !t || !h || !colon1 || !mi || !colon2 || !s)
    return {};
  const auto us = fraction(text);
  const auto offset = zone(text);
  if (!us || !offset || !text.empty())
    return {};

  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)},
                            day{static_cast<unsigned>(*d)}};
  // A wall_time counts nanoseconds: it ends in the year 2262.
  if (!date.ok() || *y < 1970 || *y > 2200 || *h > 23 || *mi > 59 || *s > 60) // 60: a leap second
    return {};
  return wall_time{sys_days{date}} + hours{*h} + minutes{*mi} + seconds{*s} +
         std::chrono::microseconds{*us} - *offset;
}

} // namespace bitnetd::wire
