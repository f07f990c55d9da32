// SPDX-License-Identifier: MIT
#include "daemon/wire_fields.h"

#include "base/utf8.h"
#include "daemon/wire_messages.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bitnetd::wire {

namespace {

using nlohmann::json;

// Bounds as people write them: 0.01, not 0.010000.
std::string number_text(double value) { return json(value).dump(); }

std::string whole_text(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15
             ? std::to_string(static_cast<std::int64_t>(value))
             : number_text(value);
}

} // namespace

void refuse_field(const std::string& path, const std::string& message,
                  std::optional<std::int64_t> limit) {
  throw refusal{errors::field, path + ": " + message, path, limit};
}

std::string shown(const json& value) {
  constexpr std::size_t enough = 48;
  switch (value.type()) {
  case json::value_t::object:
    return "an object";
  case json::value_t::array:
    return "an array";
  case json::value_t::string: {
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() > enough)
      return "a text of " + std::to_string(text.size()) + " bytes";
    return value.dump(-1, ' ', true, json::error_handler_t::replace);
  }
  default:
    return value.dump();
  }
}

field_reader::field_reader(const json& object, std::string path,
                           std::initializer_list<std::string_view> known)
    : object_(object), path_(std::move(path)) {
  for (const auto& [key, value] : object_.items()) {
    if (std::ranges::find(known, std::string_view(key)) != known.end())
      continue;
    const auto meant = nearest(key, {known.begin(), known.size()});
    // A long unknown key is shortened; its name then does not end inside a character.
    const auto name = key.substr(0, utf8_complete_prefix(std::string_view(key).substr(0, 64)));
    refuse(name, meant.empty() ? std::string("unknown field")
                               : "unknown field; did you mean " + std::string(meant) + "?");
  }
}

const json* field_reader::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

bool field_reader::has(std::string_view name) const { return find(name) != nullptr; }

std::optional<bool> field_reader::boolean(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  if (!value->is_boolean())
    refuse(name, "expected true or false, got " + shown(*value));
  return value->get<bool>();
}

std::optional<std::int64_t> field_reader::integer(std::string_view name, std::int64_t least,
                                                  std::int64_t most) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  const bool beyond = value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX;
  if (value->is_number_integer() && !beyond) {
    const auto number = value->get<std::int64_t>();
    if (number >= least && number <= most)
      return number;
  }
  refuse(name,
         "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most) +
             ", got " + shown(*value),
         most);
}

std::optional<double> field_reader::number(std::string_view name, double least, double most,
                                           bool least_open, bool most_open) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  if (value->is_number()) {
    const auto number = value->get<double>();
    const bool above = least_open ? number > least : number >= least;
    const bool below = most_open ? number < most : number <= most;
    if (above && below)
      return number;
  }
  refuse(name, "expected a number " + std::string(least_open ? "above " : "from ") +
                   whole_text(least) + (most_open ? " to below " : " to ") + whole_text(most) +
                   ", got " + shown(*value));
}

std::optional<std::string> field_reader::text(std::string_view name, std::size_t least,
                                              std::size_t most) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  if (value->is_string()) {
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() >= least && text.size() <= most)
      return text;
  }
  refuse(name,
         "expected a text of " + std::to_string(least) + " to " + std::to_string(most) +
             " bytes, got " + shown(*value),
         static_cast<std::int64_t>(most));
}

std::optional<std::string> field_reader::label(std::string_view name, std::size_t most) const {
  auto value = text(name, 1, most);
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (value && std::ranges::any_of(*value, control))
    refuse(name, "contains a control character");
  return value;
}

std::optional<std::size_t>
field_reader::choice(std::string_view name, std::initializer_list<std::string_view> words) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  if (value->is_string()) {
    const auto found = std::ranges::find(words, value->get_ref<const std::string&>());
    if (found != words.end())
      return static_cast<std::size_t>(found - words.begin());
  }
  std::string list;
  for (const auto word : words)
    list += (list.empty() ? "" : ", ") + std::string(word);
  refuse(name, "expected one of " + list + "; got " + shown(*value));
}

std::optional<wall_time> field_reader::time(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  if (value->is_string()) {
    if (const auto point = parse_time(value->get_ref<const std::string&>()))
      return point;
  }
  refuse(name, "expected a time like 2026-11-20T08:00:00Z (RFC 3339, years 1970 to 2200), got " +
                   shown(*value));
}

std::optional<std::string> field_reader::job_id(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr)
    return {};
  if (!value->is_string() || !is_job_id(value->get_ref<const std::string&>()))
    refuse(name, "expected a job id, as `accepted` gave it, got " + shown(*value));
  return value->get<std::string>();
}

const json* field_reader::array(std::string_view name, std::size_t least, std::size_t most) const {
  const json* value = find(name);
  if (value == nullptr)
    return nullptr;
  const auto bounds = std::to_string(least) + " to " + std::to_string(most) + " elements";
  if (!value->is_array())
    refuse(name, "expected an array of " + bounds + ", got " + shown(*value));
  if (value->size() < least || value->size() > most)
    refuse(name, "expected " + bounds + ", got " + std::to_string(value->size()),
           static_cast<std::int64_t>(most));
  return value;
}

const json* field_reader::object(std::string_view name, std::size_t most) const {
  const json* value = find(name);
  if (value == nullptr)
    return nullptr;
  if (!value->is_object())
    refuse(name, "expected an object, got " + shown(*value));
  if (value->size() > most)
    refuse(name,
           "expected at most " + std::to_string(most) + " entries, got " +
               std::to_string(value->size()),
           static_cast<std::int64_t>(most));
  return value;
}

void field_reader::require(std::string_view name) const {
  if (!has(name))
    refuse(name, "is required");
}

std::string field_reader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + '.' + std::string(name);
}

void field_reader::refuse(std::string_view name, const std::string& message,
                          std::optional<std::int64_t> limit) const {
  refuse_field(path_of(name), message, limit);
}

bool is_job_id(std::string_view text) noexcept {
  if (text.size() != 36 || text[14] != '7')
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex)
      return false;
  }
  return true;
}

} // namespace bitnetd::wire
