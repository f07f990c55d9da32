// SPDX-License-Identifier: MIT
#include "conf/schema.h"

#include "conf/fields.h"

#include <algorithm>

namespace bitnetd::conf {

namespace {

std::string number_text(const key& k, double bound) {
  if (k.type == value_type::real)
    return write_value(bound, k.type, k.unit);
  return write_value(static_cast<std::int64_t>(bound), k.type, k.unit);
}

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (const auto w : words)
    out += (out.empty() ? "" : ", ") + std::string{w};
  return out;
}

} // namespace

std::string_view key::list() const {
  const auto bracket = path.find("[]");
  return bracket == std::string_view::npos ? std::string_view{} : path.substr(0, bracket);
}

std::string_view key::leaf() const { return path.substr(path.rfind('.') + 1); }

const key* find_key(std::string_view path) {
  const auto found = std::ranges::find(all_keys(), path, &key::path);
  return found == all_keys().end() ? nullptr : &*found;
}

const list_key* find_list(std::string_view path) {
  const auto found = std::ranges::find(all_lists(), path, &list_key::path);
  return found == all_lists().end() ? nullptr : &*found;
}

std::string render(const config& of, const key& k, std::size_t index) {
  return write_value(k.field.get(of, index), k.type, k.unit);
}

std::string render_element(const config& of, const list_key& list, std::size_t index) {
  std::string out = "{";
  for (const auto& k : all_keys()) {
    if (k.list() != list.path)
      continue;
    const auto v = k.field.get(of, index);
    if (std::holds_alternative<std::monostate>(v))
      continue; // not given
    out += (out.size() > 1 ? ", " : "") + std::string{k.leaf()} + ": " +
           write_value(v, k.type, k.unit);
  }
  return out + '}';
}

std::string default_text(const key& k) {
  if (k.required)
    return "required";
  config defaults;
  for (const auto& list : all_lists())
    list.resize(defaults, 1);
  return render(defaults, k);
}

std::string bounds_text(const key& k) {
  switch (k.type) {
  case value_type::whole:
  case value_type::real:
  case value_type::size:
  case value_type::duration:
  case value_type::file_mode:
  case value_type::cpu_list:
    return number_text(k, k.min) + " to " + number_text(k, k.max);
  case value_type::word:
    return joined(k.choices);
  default:
    return {};
  }
}

std::string expectation(const key& k) {
  switch (k.type) {
  case value_type::boolean:
    return "true or false";
  case value_type::whole:
    return "a whole number from " + bounds_text(k);
  case value_type::real:
    return "a number from " + bounds_text(k);
  case value_type::size:
    return "a size from " + bounds_text(k) + " (such as 8MiB, or a number of bytes)";
  case value_type::duration:
    return "a time from " + bounds_text(k) + " (such as 250ms, 30s, 24h, or a number of " +
           (k.unit == "s" ? "seconds)" : "milliseconds)");
  case value_type::word:
    return "one of " + bounds_text(k);
  case value_type::name:
    return "a name (a letter or digit, then letters, digits and . _ - : @ +, at most 64)";
  case value_type::optional_name:
    return "a name, or \"\" for none";
  case value_type::file_path:
    return "the path of a file";
  case value_type::endpoint:
    return "ipc://PATH or tcp://IP:PORT";
  case value_type::file_mode:
    return "a file mode from " + bounds_text(k) + " that lets the owner read and write";
  case value_type::cpu_list:
    return "a list of CPU numbers such as [0, 1]";
  }
  return {};
}

std::string_view to_text(scope s) {
  constexpr std::string_view words[] = {"step", "job", "model", "restart"};
  return words[static_cast<std::size_t>(s)];
}

std::string_view to_text(home h) { return h == home::main ? "bitnetd.yaml" : "profile"; }

std::string_view to_text(value_type t) {
  constexpr std::string_view words[] = {"boolean", "whole number", "number", "size",
                                        "time",    "word",         "name",   "name or \"\"",
                                        "path",    "endpoint",     "mode",   "list of CPUs"};
  return words[static_cast<std::size_t>(t)];
}

std::string_view to_text(role r) { return role_words[static_cast<std::size_t>(r)]; }
std::string_view to_text(cache_mode m) { return cache_mode_words[static_cast<std::size_t>(m)]; }
std::string_view to_text(cache_trust t) { return cache_trust_words[static_cast<std::size_t>(t)]; }

} // namespace bitnetd::conf
