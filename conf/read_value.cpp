// SPDX-License-Identifier: MIT
#include "conf/read_value.h"

#include "conf/endpoint.h"

#include <algorithm>

namespace bitnetd::conf {

namespace {

constexpr std::size_t most_path_bytes = 4095; // PATH_MAX without its final zero
constexpr std::size_t most_cpus = 4096;

scalar_result refuse(std::string why = {}) { return {false, {}, std::move(why)}; }

bool is_number(value_type type) {
  return type == value_type::boolean || type == value_type::whole || type == value_type::real;
}

bool within(const key& k, double number) { return number >= k.min && number <= k.max; }

scalar_result check_bounds(const key& k, scalar_result read) {
  if (!read.ok)
    return read;
  if (const auto* whole = std::get_if<std::int64_t>(&read.got))
    return within(k, static_cast<double>(*whole)) ? read : refuse();
  if (const auto* real = std::get_if<double>(&read.got))
    return within(k, *real) ? read : refuse();
  return read;
}

scalar_result read_word(const key& k, const std::string& text) {
  if (std::ranges::find(k.choices, std::string_view{text}) != k.choices.end())
    return {true, text, {}};
  const auto near = nearest(text, k.choices);
  return refuse(near.empty() ? std::string{} : "did you mean " + std::string{near} + '?');
}

scalar_result read_path(const std::string& text, const path_bases& bases) {
  if (text.empty())
    return refuse();
  if (text.size() > most_path_bytes)
    return refuse("it is longer than a path can be");
  if (std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
      }))
    return refuse("it contains control characters");
  return {true, (bases.of_files / text).lexically_normal().string(), {}};
}

scalar_result read_mode(const key& k, const std::string& text) {
  constexpr std::int64_t owner_reads_and_writes = 0600;
  auto read = check_bounds(k, read_file_mode(text));
  if (read.ok &&
      (std::get<std::int64_t>(read.got) & owner_reads_and_writes) != owner_reads_and_writes)
    return refuse();
  return read;
}

scalar_result read_scalar(const key& k, const std::string& text, const path_bases& bases) {
  switch (k.type) {
  case value_type::boolean:
    return read_boolean(text);
  case value_type::whole:
    return check_bounds(k, read_whole(text));
  case value_type::real:
    return check_bounds(k, read_real(text));
  case value_type::size:
    return check_bounds(k, read_size(text));
  case value_type::duration:
    return check_bounds(k, read_duration(text, k.unit));
  case value_type::word:
    return read_word(k, text);
  case value_type::name:
    return is_name(text) ? scalar_result{true, text, {}} : refuse();
  case value_type::optional_name:
    return text.empty() || is_name(text) ? scalar_result{true, text, {}} : refuse();
  case value_type::file_path:
    return read_path(text, bases);
  case value_type::endpoint:
    return resolve_endpoint(text, bases.of_sockets);
  case value_type::file_mode:
    return read_mode(k, text);
  case value_type::cpu_list:
    return refuse();
  }
  return refuse();
}

scalar_result read_cpus(const key& k, const node& list) {
  std::vector<int> out;
  if (list.items.empty())
    return refuse("a node without CPUs computes nothing");
  if (list.items.size() > most_cpus)
    return refuse("more than " + std::to_string(most_cpus) + " CPUs");
  for (const auto& item : list.items) {
    const auto number = item.what == node::kind::scalar && !item.quoted
                            ? check_bounds(k, read_whole(item.text))
                            : refuse();
    if (!number.ok)
      return refuse("one of them is " + found_text(item));
    out.push_back(static_cast<int>(std::get<std::int64_t>(number.got)));
  }
  return {true, std::move(out), {}};
}

} // namespace

std::string found_text(const node& n) {
  switch (n.what) {
  case node::kind::list:
    return "a list";
  case node::kind::mapping:
    return "a mapping";
  case node::kind::nothing:
  case node::kind::unusable:
    return "nothing";
  case node::kind::scalar:
    break;
  }
  if (!n.quoted && read_real(n.text).ok)
    return printable(n.text);
  return '"' + printable(n.text) + '"';
}

std::optional<value> read_value(const key& k, const node& from, const path_bases& bases,
                                std::string& why) {
  auto read = refuse();
  if (from.what == node::kind::list && k.type == value_type::cpu_list)
    read = read_cpus(k, from);
  else if (from.what == node::kind::scalar && from.quoted && is_number(k.type))
    read = refuse("quotes make it text");
  else if (from.what == node::kind::scalar)
    read = read_scalar(k, from.text, bases);
  if (read.ok)
    return std::move(read.got);
  why = "expected " + expectation(k) + ", got " + found_text(from) +
        (read.error.empty() ? "" : "; " + read.error);
  return std::nullopt;
}

} // namespace bitnetd::conf
