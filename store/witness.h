// SPDX-License-Identifier: MIT
#pragma once

#include "store/file_handle.h"
#include "store/manifest.h"
#include "store/status.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>

namespace bitnetd::store {

/// What was synced in the journal, as far as the witness knows.
struct witnessed {
  std::uint64_t sequence = 0; ///< number of the latest synced row
  std::uint64_t accepted = 0; ///< jobs ever accepted

  bool operator==(const witnessed&) const = default;
};

/// A small file beside the journal that remembers how far the journal was synced. A log or MANIFEST
/// whose end was lost looks like one that ends earlier: only a second file can tell the difference.
///
/// Two slots in blocks of their own are written in turn, each with a checksum, so that a torn write
/// spoils only the newer one. Every update is handed to the kernel at once (it survives the death
/// of the process); fdatasync follows when `interval` has passed since the last one, and at close.
/// Any thread may update.
class witness {
public:
  /// Reads the file; the first update creates a missing one. Throws open_error when it cannot be
  /// opened.
  witness(const std::filesystem::path& file, std::chrono::milliseconds interval);
  ~witness(); ///< fdatasync
  witness(const witness&) = delete;
  witness& operator=(const witness&) = delete;

  /// Of the newest valid slot; zeros for a new file, or one without a valid slot.
  [[nodiscard]] witnessed last() const;
  [[nodiscard]] manifest_mark manifest() const;

  /// Call after the journal was synced.
  status update(const witnessed& now);
  /// Also to the disk, whatever the interval.
  status update_and_sync(const witnessed& now);
  /// Call after the files of the journal's database have changed.
  status update_manifest(const manifest_mark& now);

private:
  status create();
  status store(bool sync_now); // with the mutex held

  std::filesystem::path path_;
  mutable std::mutex mutex_;
  file_handle file_;
  std::chrono::milliseconds interval_;
  std::chrono::steady_clock::time_point synced_at_{};
  std::uint64_t generation_ = 0;
  witnessed last_;
  manifest_mark manifest_;
};

} // namespace bitnetd::store
