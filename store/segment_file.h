// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace bitnetd::store {

// The two files of a saved segment (docs/store.md): the graph as hnswlib writes it, and a header
// that names its rows and carries the checksums of both. The header is written last: without it
// there is no segment.

struct segment_header {
  std::size_t dimension = 0;
  std::vector<std::uint64_t> entries; ///< by slot
};

[[nodiscard]] std::filesystem::path graph_file_of(const std::filesystem::path& file);

/// `save_graph` writes the graph to the path it is given. Both files are synced.
status write_segment(const std::filesystem::path& file, const segment_header& header,
                     const std::function<void(const std::filesystem::path&)>& save_graph);

/// Reads the header and checks both checksums. not_found, corrupt or io_error.
result<segment_header> read_segment(const std::filesystem::path& file);

/// Removes both files, as far as they are there.
void remove_segment(const std::filesystem::path& file) noexcept;

} // namespace bitnetd::store
