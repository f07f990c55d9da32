// SPDX-License-Identifier: MIT
#pragma once

#include "conf/config.h"
#include "conf/value.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace bitnetd::conf {

/// When a changed key acts: from the next step of the workers; for jobs that are submitted from
/// then on; when models have been loaded or unloaded; only after a restart.
enum class scope { step, job, model, restart };

/// The file that a key stands in: bitnetd.yaml or the profile.
enum class home { main, profile };

/// Reads and writes one field; `index` is the element for keys of lists, else unused.
struct accessor {
  value (*get)(const config& from, std::size_t index);
  void (*set)(config& into, std::size_t index, const value& v);
};

/// One key: all there is to know about it. The loader, the difference, the documentation and the
/// tests are driven by this table.
struct key {
  /// As in limits.body_bytes; a key of list elements has [], as in models[].name.
  std::string_view path;
  home stands_in;
  value_type type;
  scope acts;
  std::string_view unit; ///< of plain numbers: bytes, s, ms, tokens, …; may be empty
  double min, max;       ///< of numbers, both allowed
  std::span<const std::string_view> choices; ///< of a word
  bool required;                             ///< in each element of its list
  std::string_view about;
  accessor field;

  /// `models[]` for models[].name, else empty.
  [[nodiscard]] std::string_view list() const;
  /// The last word of the path.
  [[nodiscard]] std::string_view leaf() const;
};

/// One list of mappings in bitnetd.yaml; its keys have the prefix `path[].`.
struct list_key {
  std::string_view path;
  scope acts;
  std::size_t most; ///< elements
  std::string_view about;
  std::size_t (*size)(const config& of);
  void (*resize)(config& into, std::size_t elements);
  /// Takes the whole list of `from` over.
  void (*copy)(config& into, const config& from);
};

[[nodiscard]] std::span<const key> all_keys();
[[nodiscard]] std::span<const list_key> all_lists();
/// nullptr: no such key.
[[nodiscard]] const key* find_key(std::string_view path);
[[nodiscard]] const list_key* find_list(std::string_view path);

/// The key's value as one would write it in YAML.
[[nodiscard]] std::string render(const config& of, const key& k, std::size_t index = 0);
/// One element of a list as a YAML flow mapping: {name: chat, path: /x.gguf, embedding: false}.
[[nodiscard]] std::string render_element(const config& of, const list_key& list, std::size_t index);
/// The default as in YAML, "required" for a key that has none.
[[nodiscard]] std::string default_text(const key& k);
/// What a value must look like: "a whole number from 1 to 64", "one of f16, f32", …
[[nodiscard]] std::string expectation(const key& k);
/// "1 to 64", the choices, or empty.
[[nodiscard]] std::string bounds_text(const key& k);

[[nodiscard]] std::string_view to_text(scope s);
[[nodiscard]] std::string_view to_text(home h);
[[nodiscard]] std::string_view to_text(value_type t);
[[nodiscard]] std::string_view to_text(role r);
[[nodiscard]] std::string_view to_text(cache_mode m);
[[nodiscard]] std::string_view to_text(cache_trust t);

/// The whole table for people, and for programs.
[[nodiscard]] std::string schema_markdown();
[[nodiscard]] std::string schema_json();

} // namespace bitnetd::conf
