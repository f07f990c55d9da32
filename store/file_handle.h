// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::store {

/// A file of the store's own, open until the end of the scope. Links are not followed. Where
/// something fails, errno says why; of a file that did not open everything does.
class file_handle {
public:
  file_handle() = default;
  file_handle(const std::filesystem::path& path, int flags); ///< open(2); a new one is private
  ~file_handle();
  file_handle(file_handle&& other) noexcept;
  file_handle& operator=(file_handle&& other) noexcept;

  [[nodiscard]] bool is_open() const noexcept { return handle_ >= 0; }
  /// Up to `limit` bytes from `from` on; nothing when they cannot be read.
  [[nodiscard]] std::optional<std::string> read(std::uint64_t from, std::uint64_t limit) const;
  [[nodiscard]] bool write(std::uint64_t at, std::string_view bytes) const;
  [[nodiscard]] bool sync() const; ///< fdatasync(2)

private:
  int handle_ = -1;
};

/// What errno says of `what`: no_space or io_error.
[[nodiscard]] status failed_with_errno(const std::string& what);

/// A new or renamed file is found after a loss of power only once its directory is on the disk.
[[nodiscard]] status sync_directory(const std::filesystem::path& directory);

} // namespace bitnetd::store
