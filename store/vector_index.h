// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace bitnetd::store {

inline constexpr std::size_t max_dimension = 8192;

/// A vector as stored: value[i] ~ scale * values[i], scale = max|value| / 127.
struct quantized_vector {
  float scale = 0;
  std::vector<std::int8_t> values;

  bool operator==(const quantized_vector&) const = default;
};

/// Quantizes to int8 by absmax, rounding to nearest. invalid for an empty vector, one longer than
/// max_dimension, one that holds NaN or infinity, and one that is zero.
result<quantized_vector> quantize(std::span<const float> vector);

struct neighbour {
  std::uint64_t entry = 0;
  float cosine = 0; ///< of the query and the stored (quantized) vector, -1 to 1
};

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
  [[nodiscard]] bool contains(std::uint64_t entry) const noexcept;

  /// The `k` nearest rows, best first; equal cosines in order of entry. The query is kept at 14
  /// bits, so that its rounding does not count beside that of the rows. invalid: as add.
  result<std::vector<neighbour>> search(std::span<const float> query, std::size_t k) const;

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
