// SPDX-License-Identifier: MIT
#include "store/disk_room.h"

#include <limits>
#include <sys/statvfs.h>

namespace bitnetd::store {

std::string disk_room::shortage(std::uint64_t reserved_bytes) const {
  if (bytes < reserved_bytes)
    return "the journal's disk has " + std::to_string(bytes >> 20) +
           " MiB left, less than limits.disk_reserve";
  if (files < reserved_files)
    return "the journal's disk has inodes for " + std::to_string(files) + " files left, less than " +
           std::to_string(reserved_files);
  return {};
}

std::optional<disk_room> room_on_disk(const std::filesystem::path& folder) {
  struct statvfs about {};
  if (::statvfs(folder.c_str(), &about) != 0)
    return std::nullopt;
  const bool counts_files = about.f_files != 0; // btrfs makes inodes as it needs them
  return disk_room{std::uint64_t{about.f_bavail} * about.f_frsize,
                   counts_files ? about.f_favail : std::numeric_limits<std::uint64_t>::max()};
}

} // namespace bitnetd::store
