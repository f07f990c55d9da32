// SPDX-License-Identifier: MIT
#include "daemon/wire_json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace bitnetd::wire {

namespace {

bool is_plain(char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

// Most text is: it is copied as it is. Counted, not searched: a loop without an early end is one of
// vectors, and this was a twentieth of an exact hit.
bool is_plain(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text)
    n += is_plain(c) ? 1 : 0;
  return n == text.size();
}

// Outside of this the exponent tells more than zeros do.
bool is_readable(double number) {
  const auto size = std::fabs(number);
  return size == 0 || (size >= 1e-4 && size < 1e15);
}

} // namespace

void json_text::next() {
  if (std::exchange(follows_, true))
    out_ += ',';
}

json_text& json_text::begin(char bracket) {
  next();
  out_ += bracket;
  follows_ = false;
  return *this;
}

json_text& json_text::end(char bracket) {
  out_ += bracket;
  follows_ = true;
  return *this;
}

json_text& json_text::begin_object() { return begin('{'); }
json_text& json_text::end_object() { return end('}'); }
json_text& json_text::begin_array() { return begin('['); }
json_text& json_text::end_array() { return end(']'); }

json_text& json_text::name(std::string_view name) {
  next();
  quote(name);
  out_ += ':';
  follows_ = false;
  return *this;
}

json_text& json_text::value(std::string_view text) {
  next();
  quote(text);
  return *this;
}

void json_text::quote(std::string_view text) {
  if (is_plain(text))
    out_.append(1, '"').append(text).append(1, '"');
  else
    out_ += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

json_text& json_text::value(bool yes) { return raw(yes ? "true" : "false"); }
json_text& json_text::value(double number) { return real(number); }
json_text& json_text::value(float number) { return real(number); }
json_text& json_text::integer(std::int64_t number) { return digits(number); }
json_text& json_text::natural(std::uint64_t number) { return digits(number); }

template <class T> json_text& json_text::digits(T number) {
  std::array<char, 24> text{};
  const auto* end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return raw({text.data(), end});
}

template <class T> json_text& json_text::real(T number) {
  if (!std::isfinite(number))
    return raw("null");
  std::array<char, 40> text{};
  auto* const most = text.data() + text.size();
  if (!is_readable(number))
    return raw({text.data(), std::to_chars(text.data(), most, number).ptr});
  auto* end = std::to_chars(text.data(), most, number, std::chars_format::fixed).ptr;
  if (std::find(text.data(), end, '.') == end) { // so that readers take it for a real number
    *end++ = '.';
    *end++ = '0';
  }
  return raw({text.data(), end});
}

json_text& json_text::value(const std::vector<std::string>& texts) {
  begin_array();
  for (const auto& text : texts)
    value(text);
  return end_array();
}

json_text& json_text::value(const std::map<std::string, std::string>& texts) {
  begin_object();
  for (const auto& [key, text] : texts)
    name(key).value(text);
  return end_object();
}

json_text& json_text::raw(std::string_view json) {
  next();
  out_ += json;
  return *this;
}

} // namespace bitnetd::wire
