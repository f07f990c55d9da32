// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "store/answers_db.h"
#include "store/segmented_index.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

namespace bitnetd::actors {

/// The vectors of every partition, in memory; rebuilt from the store at the start. Partitions and
/// embedders have indexes of their own: nothing can be compared across them.
class similarity_tier {
public:
  similarity_tier();

  /// Reads every entry's head, and takes up the segments that are saved beside the store; from now
  /// on those that are built are saved there. Returns how many vectors are held.
  std::size_t load(const store::answers_db& answers);

  void add(const hash128& partition, const hash128& embedder, std::uint64_t entry,
           const store::quantized_vector& vector);
  void remove(std::uint64_t entry);
  /// Takes over segments that were built, and begins what is due; to be called now and then.
  void settle();

  /// The nearest entries of this partition, best first; empty when there are none.
  [[nodiscard]] std::vector<store::neighbour> nearest(const hash128& partition,
                                                      const hash128& embedder,
                                                      std::span<const float> vector,
                                                      std::size_t k) const;
  [[nodiscard]] std::size_t size() const noexcept { return where_.size(); }
  [[nodiscard]] std::size_t segments() const noexcept;
  [[nodiscard]] bool is_building() const noexcept { return shop_->busy; }
  [[nodiscard]] std::size_t bytes() const noexcept;

private:
  using index_key = std::pair<hash128, hash128>; ///< partition, embedder
  struct index {
    index_key key;
    store::segmented_index rows;

    index(const index_key& of, std::size_t dimension,
          const std::shared_ptr<store::segment_workshop>& shop, std::string name)
        : key(of), rows(dimension, shop, std::move(name)) {}
  };
  /// False: they cannot be saved there.
  bool save_in(const std::filesystem::path& directory);
  /// Removes files of partitions that are no more.
  void remove_leftovers() const;

  std::shared_ptr<store::segment_workshop> shop_;
  std::map<index_key, index> indexes_;
  std::unordered_map<std::uint64_t, index*> where_;
};

} // namespace bitnetd::actors
