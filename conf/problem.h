// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::conf {

/// One thing that is wrong with a configuration: where, which key, what was expected and found.
struct problem {
  std::string file;         ///< as it was opened
  std::uint32_t line = 0;   ///< from 1; 0: the file as a whole
  std::uint32_t column = 0; ///< from 1, in code points
  std::string path;         ///< the key, as in limits.body_bytes or models[1].name; may be empty
  std::string message;

  bool operator==(const problem&) const = default;
  /// `file:line:column: path: message`, as compilers write it and editors jump to it.
  [[nodiscard]] std::string text() const;
};

/// One problem per line.
[[nodiscard]] std::string text(std::span<const problem> problems);

/// The candidate that `word` was probably meant to be: the one with the fewest inserted, dropped,
/// changed or swapped letters, if these are few for its length. Empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> candidates);

/// `text` on one line for a message: control characters escaped, cut after 60 bytes with "…".
[[nodiscard]] std::string printable(std::string_view text);

} // namespace bitnetd::conf
