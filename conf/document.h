// SPDX-License-Identifier: MIT
#pragma once

#include "conf/problem.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::conf {

/// Line and column, both from 1; columns count code points.
struct mark {
  std::uint32_t line = 1, column = 1;
};

struct entry;

/// A YAML document as it was written: nothing is expanded, no word is turned into a number, every
/// node knows its place.
struct node {
  enum class kind {
    nothing, ///< no value, ~ or null
    scalar,
    list,
    mapping,
    unusable ///< an alias; a problem names it
  };
  kind what = kind::nothing;
  bool quoted = false; ///< a scalar in quotes (or a block scalar): text, never a number
  mark at;
  std::string text;           ///< of a scalar
  std::vector<node> items;    ///< of a list
  std::vector<entry> entries; ///< of a mapping, in their order, duplicates included
};

/// One pair of a mapping.
struct entry {
  node key, value;
};

/// What a configuration file may hold; far above any real one. The limits also bound the time that
/// a hostile file costs: yaml-cpp 0.7 takes up to about a second for the worst megabyte.
struct document_limits {
  std::size_t bytes = 256u << 10;
  std::size_t line_bytes = 4096; ///< yaml-cpp looks ahead to the end of a line
  std::size_t nodes = 20'000;
  std::size_t depth = 16;
};

/// Parses one YAML document whose top is a mapping. `file` is how problems name it.
///
/// Refused, each with its place: invalid UTF-8, control characters, tabs in indentation, over-long
/// lines, anchors, aliases and tags (they make small files huge), nesting and node counts above the
/// limits, quotes that never close, a second document, an empty file, syntax errors. Returns
/// nothing when the document cannot be used at all; problems may stand beside a usable one.
[[nodiscard]] std::optional<node> parse_document(std::string_view text, const std::string& file,
                                                 std::vector<problem>& problems,
                                                 const document_limits& limits = {});

} // namespace bitnetd::conf
