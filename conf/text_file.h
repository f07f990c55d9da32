// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace bitnetd::conf {

/// What stands in a file now, or why it cannot be read.
struct file_text {
  std::optional<std::string> text;
  std::string error; ///< "no such file", "a directory, not a file", …; empty when text is there

  bool operator==(const file_text&) const = default;
};

/// Reads a regular file of at most `most_bytes` (symbolic links are followed). Never blocks on a
/// pipe and never reads a device.
[[nodiscard]] file_text read_text(const std::filesystem::path& file, std::size_t most_bytes);

} // namespace bitnetd::conf
