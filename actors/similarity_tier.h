// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "store/answers_db.h"
#include "store/vector_index.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

namespace bitnetd::actors {

/// The vectors of every partition, in memory; rebuilt from the store at the start. Partitions and
/// embedders have indexes of their own: nothing can be compared across them.
class similarity_tier {
public:
  /// Reads every entry's head. Returns how many vectors are held.
  std::size_t load(const store::answers_db& answers);

  void add(const hash128& partition, const hash128& embedder, std::uint64_t entry,
           const store::quantized_vector& vector);
  void remove(std::uint64_t entry);

  /// The nearest entries of this partition, best first; empty when there are none.
  [[nodiscard]] std::vector<store::neighbour> nearest(const hash128& partition,
                                                      const hash128& embedder,
                                                      std::span<const float> vector,
                                                      std::size_t k) const;
  [[nodiscard]] std::size_t size() const noexcept { return where_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept;

private:
  using index_key = std::pair<hash128, hash128>; ///< partition, embedder
  std::map<index_key, store::vector_index> indexes_;
  std::unordered_map<std::uint64_t, index_key> where_;
};

} // namespace bitnetd::actors
