// SPDX-License-Identifier: MIT
#pragma once

#include "store/quantized_vector.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace bitnetd::store {

/// The vectors of one partition: a flat int8 matrix that is searched whole.
///
/// Every row is compared: nothing can be missed, removing costs one row copy. Products are exact
/// int32 sums, so that all instruction sets give the same bits. A partition of 10,000 rows of 384
/// costs about 0.2 ms a search. Not for several threads while one of them writes.
class vector_index {
public:
  /// `dimension` is 1 to max_dimension (asserted): the embedder's.
  explicit vector_index(std::size_t dimension);

  /// Adds a row, or replaces that of the same entry. Vectors of any length but zero are taken;
  /// only the direction counts. invalid: wrong dimension, NaN, infinity, zero; nothing is added.
  status add(std::uint64_t entry, std::span<const float> vector);
  status add(std::uint64_t entry, const quantized_vector& vector);

  /// False if there was none.
  bool remove(std::uint64_t entry) noexcept;
  /// Gives back the memory of rows that were removed.
  void shrink();
  [[nodiscard]] bool contains(std::uint64_t entry) const noexcept;
  /// The stored values of an entry; empty if there is none. Until the next add or remove.
  [[nodiscard]] std::span<const std::int8_t> row_of(std::uint64_t entry) const noexcept;

  /// The `k` nearest rows, best first; equal cosines in order of entry. The query is kept at 14
  /// bits, so that its rounding does not count beside that of the rows. invalid: as add.
  result<std::vector<neighbour>> search(std::span<const float> query, std::size_t k) const;

  /// The stored rows, in no order: entry and int8 values.
  template <class Visit> void for_each(const Visit& visit) const {
    for (std::size_t r = 0; r < entries_.size(); ++r)
      visit(entries_[r], std::span(rows_).subspan(r * stride_, dimension_));
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] std::size_t dimension() const noexcept { return dimension_; }
  /// Memory taken, allocator overhead aside.
  [[nodiscard]] std::size_t bytes() const noexcept;

private:
  std::size_t dimension_;
  std::size_t stride_; // dimension rounded up: rows are padded with zeros
  std::vector<std::int8_t> rows_;
  std::vector<float> inverse_norms_; // 1 / |row|, of the int8 values
  std::vector<std::uint64_t> entries_;
  std::unordered_map<std::uint64_t, std::size_t> row_of_;
};

} // namespace bitnetd::store
