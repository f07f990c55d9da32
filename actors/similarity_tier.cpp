// SPDX-License-Identifier: MIT
#include "actors/similarity_tier.h"

namespace bitnetd::actors {

std::size_t similarity_tier::load(const store::answers_db& answers) {
  (void)answers.for_each([this](const store::cache_entry_head& head) {
    if (head.vector)
      add(head.partition, head.embedder, head.id, *head.vector);
    return true;
  });
  return where_.size();
}

void similarity_tier::add(const hash128& partition, const hash128& embedder, std::uint64_t entry,
                          const store::quantized_vector& vector) {
  const index_key key{partition, embedder};
  auto& index = indexes_.try_emplace(key, vector.values.size()).first->second;
  if (index.add(entry, vector))
    where_.insert_or_assign(entry, key);
}

void similarity_tier::remove(std::uint64_t entry) {
  const auto key = where_.extract(entry);
  if (key.empty())
    return;
  const auto index = indexes_.find(key.mapped());
  index->second.remove(entry);
  if (index->second.size() == 0)
    indexes_.erase(index);
}

std::vector<store::neighbour> similarity_tier::nearest(const hash128& partition,
                                                       const hash128& embedder,
                                                       std::span<const float> vector,
                                                       std::size_t k) const {
  const auto index = indexes_.find({partition, embedder});
  if (index == indexes_.end())
    return {};
  auto found = index->second.search(vector, k);
  return found ? std::move(*found) : std::vector<store::neighbour>{};
}

std::size_t similarity_tier::bytes() const noexcept {
  std::size_t sum = 0;
  for (const auto& [key, index] : indexes_)
    sum += index.bytes();
  return sum;
}

} // namespace bitnetd::actors
