// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace bitnetd::engine {

/// An open file descriptor and what the file measured when it was opened. The caller closes it.
struct opened_file {
  int fd = -1;
  std::uint64_t size = 0;
};

/// Opens a regular file for reading; refuses folders, devices and pipes without waiting for them.
/// Throws load_error.
[[nodiscard]] opened_file open_regular_file(const std::filesystem::path& path);

/// Reads exactly out.size() bytes at `offset`. Throws load_error when the file has become shorter
/// or cannot be read. Any thread.
void read_exactly(int fd, const std::filesystem::path& path, std::uint64_t offset,
                  std::span<std::byte> out);

} // namespace bitnetd::engine
