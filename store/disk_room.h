// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace bitnetd::store {

/// What a disk has left for who has no privileges.
struct disk_room {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0; ///< inodes; the largest number where the file system does not count them

  /// What a journal needs to end the jobs that it has accepted: logs and tables of some compactions.
  static constexpr std::uint64_t reserved_files = 64;

  /// Why new jobs should not be taken, in words; empty: there is room.
  [[nodiscard]] std::string shortage(std::uint64_t reserved_bytes) const;
};

/// Room on the disk of a folder; nothing when it cannot be told.
[[nodiscard]] std::optional<disk_room> room_on_disk(const std::filesystem::path& folder);

} // namespace bitnetd::store
