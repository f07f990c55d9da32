// SPDX-License-Identifier: MIT
#pragma once

#include "conf/schema.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <utility>

// Fields of the configuration as values: how the table of keys (schema.cpp) reaches the structs.

namespace bitnetd::conf {

constexpr std::array<std::string_view, 3> role_words{"read", "submit", "admin"};
constexpr std::array<std::string_view, 4> cache_mode_words{"off", "exact", "shadow", "on"};
constexpr std::array<std::string_view, 2> cache_trust_words{"measured", "threshold"};
constexpr std::array<std::string_view, 4> class_words{"interactive", "normal", "batch",
                                                      "background"};

namespace field {

inline value read(bool f) { return f; }
inline value read(double f) { return f; }
inline value read(const std::string& f) { return f; }
inline value read(const std::filesystem::path& f) { return f.string(); }
inline value read(const std::vector<int>& f) { return f; }
inline value read(role f) { return std::string{to_text(f)}; }
inline value read(cache_mode f) { return std::string{to_text(f)}; }
inline value read(cache_trust f) { return std::string{to_text(f)}; }
value read(std::unsigned_integral auto f) { return static_cast<std::int64_t>(f); }
template <class Rep, class Period> value read(std::chrono::duration<Rep, Period> f) {
  return static_cast<std::int64_t>(f.count());
}
inline value read(const std::optional<int>& f) {
  return f ? value{static_cast<std::int64_t>(*f)} : value{};
}

// The position of a word that the loader has checked.
template <class Enum> Enum from_word(std::span<const std::string_view> words, const value& v) {
  const auto found = std::find(words.begin(), words.end(), std::get<std::string>(v));
  if (found == words.end())
    throw std::invalid_argument("not one of the key's choices");
  return static_cast<Enum>(found - words.begin());
}

inline void write(bool& f, const value& v) { f = std::get<bool>(v); }
inline void write(double& f, const value& v) { f = std::get<double>(v); }
inline void write(std::string& f, const value& v) { f = std::get<std::string>(v); }
inline void write(std::filesystem::path& f, const value& v) { f = std::get<std::string>(v); }
inline void write(std::vector<int>& f, const value& v) { f = std::get<std::vector<int>>(v); }
inline void write(role& f, const value& v) { f = from_word<role>(role_words, v); }
inline void write(cache_mode& f, const value& v) { f = from_word<cache_mode>(cache_mode_words, v); }
inline void write(cache_trust& f, const value& v) {
  f = from_word<cache_trust>(cache_trust_words, v);
}
template <std::unsigned_integral Number> void write(Number& f, const value& v) {
  f = static_cast<Number>(std::get<std::int64_t>(v));
}
template <class Rep, class Period>
void write(std::chrono::duration<Rep, Period>& f, const value& v) {
  f = std::chrono::duration<Rep, Period>{std::get<std::int64_t>(v)};
}
inline void write(std::optional<int>& f, const value& v) {
  if (const auto* number = std::get_if<std::int64_t>(&v))
    f = static_cast<int>(*number);
  else
    f.reset();
}

/// A field of the configuration: plain<&config::limits, &limits_config::body_bytes>.
template <auto... Members>
constexpr accessor plain{
    [](const config& from, std::size_t) { return read((from.*....*Members)); },
    [](config& into, std::size_t, const value& v) { write((into.*....*Members), v); }};

/// A field of each element of a list: element<&model_config::name, &config::models>.
template <auto Member, auto... List>
constexpr accessor element{
    [](const config& from, std::size_t index) { return read((from.*....*List).at(index).*Member); },
    [](config& into, std::size_t index, const value& v) {
      write((into.*....*List).at(index).*Member, v);
    }};

/// A field of one class of jobs; a class that a configuration lacks has its defaults.
template <std::size_t Class, auto Member>
constexpr accessor of_class{
    [](const config& from, std::size_t) {
      const auto& classes = from.profile.classes;
      const auto found = classes.find(std::string{class_words[Class]});
      return read(found == classes.end() ? class_config{}.*Member : found->second.*Member);
    },
    [](config& into, std::size_t, const value& v) {
      write(into.profile.classes[std::string{class_words[Class]}].*Member, v);
    }};

} // namespace field
} // namespace bitnetd::conf
