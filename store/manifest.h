// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <cstdint>
#include <filesystem>

namespace bitnetd::store {

/// How far RocksDB's MANIFEST, its log of which tables and logs belong to the database, was on the
/// disk. RocksDB takes a MANIFEST without its end for an older one: the tables made since are left
/// out and the logs they were made from are gone, all with status OK.
struct manifest_mark {
  std::uint64_t number = 0; ///< of the file name; 0: none
  std::uint64_t bytes = 0;  ///< from its beginning
  std::uint32_t crc = 0;    ///< CRC32C of these bytes

  bool operator==(const manifest_mark&) const = default;
};

/// Syncs the MANIFEST that CURRENT names, and tells how far it is; of the one that `known` is about
/// only what was added is read. Errors: io_error, no_space; corrupt when CURRENT names no MANIFEST.
[[nodiscard]] result<manifest_mark> mark_manifest(const std::filesystem::path& database,
                                                  const manifest_mark& known);

/// The same, and brings the copy of it in `folder` up to date.
[[nodiscard]] result<manifest_mark> copy_manifest(const std::filesystem::path& database,
                                                  const std::filesystem::path& folder,
                                                  const manifest_mark& known);

/// Whether the MANIFEST that CURRENT names still begins with what `mark` saw. True too where
/// CURRENT names another one or none: `mark` knows nothing of that.
[[nodiscard]] bool manifest_holds(const std::filesystem::path& database, const manifest_mark& mark);

/// Makes a database whose CURRENT is lost, or whose MANIFEST does not hold, what `mark` saw, with
/// the copy in `folder`. False when its MANIFEST is still not to be relied on.
[[nodiscard]] bool restore_manifest(const std::filesystem::path& database,
                                    const std::filesystem::path& folder, const manifest_mark& mark);

} // namespace bitnetd::store
