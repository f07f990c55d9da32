// SPDX-License-Identifier: MIT
#pragma once

#include "store/quantized_vector.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace bitnetd::store {

/// Vectors to make a segment of: row r belongs to entries[r].
struct segment_rows {
  std::size_t dimension = 0;
  std::vector<std::uint64_t> entries; ///< each once
  std::vector<std::int8_t> values;    ///< entries.size() x dimension, none of them zero

  void add(std::uint64_t entry, std::span<const std::int8_t> row) {
    entries.push_back(entry);
    values.insert(values.end(), row.begin(), row.end());
  }
};

/// A sealed set of vectors with a graph over them: a search looks at some hundred rows, not at all.
///
/// Method   HNSW (Malkov and Yashunin 2018, arXiv:1603.09320) by hnswlib: 16 links, 200 candidates
///          while building, 96 while searching; cosines of int8 rows. The walk is ours
///          (beam_search.h) and starts from rows in the query's direction, too (sign_table.h).
/// Recall   what is near (cosine above 0.9) is found as if all were compared, in more than 999 of
///          1,000 searches; of far neighbours some are missed.
/// Threads  built once, then only read: by one thread at a time.
class vector_segment {
public:
  /// Takes about 0.3 ms per row. Nothing when `stop` became true meanwhile, or memory ran out.
  [[nodiscard]] static std::shared_ptr<const vector_segment> build(segment_rows rows,
                                                                   const std::atomic<bool>& stop);
  ~vector_segment();

  /// The candidates of a search, as many as the graph gave, in no order; cosines as vector_index
  /// has them. Slots are row numbers of `build`. invalid: as vector_index::search.
  struct candidate {
    std::size_t slot = 0;
    neighbour what;
  };
  result<std::vector<candidate>> search(std::span<const float> query) const;

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t dimension() const noexcept;
  /// Entry of each slot.
  [[nodiscard]] std::span<const std::uint64_t> entries() const noexcept;
  [[nodiscard]] std::span<const std::int8_t> row(std::size_t slot) const noexcept;
  /// Memory taken, allocator overhead aside.
  [[nodiscard]] std::size_t bytes() const noexcept;

  /// Writes it to a file, synced, under its name only when it is whole (docs/store.md).
  status save(const std::filesystem::path& file) const;
  /// Reads it back. corrupt: a checksum or length is wrong, or it is of another version.
  static result<std::shared_ptr<const vector_segment>> load(const std::filesystem::path& file);

private:
  struct parts;
  explicit vector_segment(std::unique_ptr<parts> made);
  std::unique_ptr<parts> parts_;
};

} // namespace bitnetd::store
