// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <chrono>
#include <cstdint>
#include <filesystem>

namespace bitnetd::store {

/// What was synced in the journal, as far as the witness knows.
struct witnessed {
  std::uint64_t sequence = 0; ///< number of the latest synced row
  std::uint64_t accepted = 0; ///< jobs ever accepted

  bool operator==(const witnessed&) const = default;
};

/// A small file beside the journal that remembers how far the journal was synced. A log whose end
/// was lost looks like one that ends earlier: only a second file can tell the difference.
///
/// Two slots in blocks of their own are written in turn, each with a checksum, so that a torn write
/// spoils only the newer one. Every update is handed to the kernel at once (it survives the death
/// of the process); fdatasync follows when `interval` has passed since the last one, and at close.
class witness {
public:
  /// Opens or creates. Throws open_error when the file cannot be used.
  witness(const std::filesystem::path& file, std::chrono::milliseconds interval);
  ~witness(); ///< fdatasync
  witness(const witness&) = delete;
  witness& operator=(const witness&) = delete;

  /// The newest valid slot; zeros for a new file, or one without a valid slot.
  [[nodiscard]] const witnessed& last() const noexcept { return last_; }

  /// Call after the journal was synced.
  status update(const witnessed& now);
  /// Also to the disk, whatever the interval.
  status update_and_sync(const witnessed& now);

private:
  status store(const witnessed& now, bool sync_now);

  int file_ = -1;
  std::chrono::milliseconds interval_;
  std::chrono::steady_clock::time_point synced_at_{};
  std::uint64_t generation_ = 0;
  witnessed last_;
};

} // namespace bitnetd::store
