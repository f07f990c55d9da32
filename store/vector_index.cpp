// SPDX-License-Identifier: MIT
#include "store/vector_index.h"

#include "store/dot_product.h"
#include "store/fine_query.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <string>

namespace bitnetd::store {

vector_index::vector_index(std::size_t dimension)
    : dimension_(dimension), stride_(padded(dimension)) {
  assert(dimension >= 1 && dimension <= max_dimension);
}

status vector_index::add(std::uint64_t entry, std::span<const float> vector) {
  const auto quantized = quantize(vector);
  return quantized ? add(entry, *quantized) : quantized.why();
}

status vector_index::add(std::uint64_t entry, const quantized_vector& vector) {
  if (vector.values.size() != dimension_)
    return {errc::invalid, "a vector of " + std::to_string(vector.values.size()) +
                               " values: this index holds " + std::to_string(dimension_)};
  const auto inverse = inverse_norm(vector.values);
  if (!std::isfinite(inverse))
    return {errc::invalid, "a vector is zero"};
  const auto [at, is_new] = row_of_.try_emplace(entry, entries_.size());
  if (is_new) {
    entries_.push_back(entry);
    inverse_norms_.push_back(0);
    rows_.resize(rows_.size() + stride_, 0);
  }
  std::copy(vector.values.begin(), vector.values.end(),
            rows_.begin() + static_cast<std::ptrdiff_t>(at->second * stride_));
  inverse_norms_[at->second] = static_cast<float>(inverse);
  return {};
}

bool vector_index::remove(std::uint64_t entry) noexcept {
  const auto at = row_of_.find(entry);
  if (at == row_of_.end())
    return false;
  // The last row takes the place.
  const auto row = at->second, last = entries_.size() - 1;
  if (row != last) {
    std::copy_n(rows_.begin() + static_cast<std::ptrdiff_t>(last * stride_), stride_,
                rows_.begin() + static_cast<std::ptrdiff_t>(row * stride_));
    inverse_norms_[row] = inverse_norms_[last];
    entries_[row] = entries_[last];
    row_of_[entries_[row]] = row;
  }
  row_of_.erase(at);
  entries_.pop_back();
  inverse_norms_.pop_back();
  rows_.resize(rows_.size() - stride_);
  return true;
}

void vector_index::shrink() {
  rows_.shrink_to_fit();
  inverse_norms_.shrink_to_fit();
  entries_.shrink_to_fit();
  row_of_.rehash(0);
}

std::span<const std::int8_t> vector_index::row_of(std::uint64_t entry) const noexcept {
  const auto at = row_of_.find(entry);
  return at == row_of_.end() ? std::span<const std::int8_t>{}
                             : std::span(rows_).subspan(at->second * stride_, dimension_);
}

bool vector_index::contains(std::uint64_t entry) const noexcept { return row_of_.contains(entry); }

result<std::vector<neighbour>> vector_index::search(std::span<const float> query,
                                                    std::size_t k) const {
  const auto fine = refine(query, dimension_);
  if (!fine)
    return fine.why();
  std::vector<std::int64_t> products(entries_.size());
  choose_scan()(rows_.data(), fine->values.data(), entries_.size(), stride_, products.data());

  std::vector<neighbour> all(entries_.size());
  for (std::size_t r = 0; r < all.size(); ++r)
    all[r] = {entries_[r], static_cast<float>(static_cast<double>(products[r]) *
                                              fine->inverse_norm * inverse_norms_[r])};
  const auto n = std::min(k, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(), nearer);
  all.resize(n);
  return all;
}

std::size_t vector_index::bytes() const noexcept {
  constexpr std::size_t map_node = 2 * sizeof(void*) + sizeof(std::uint64_t) + sizeof(std::size_t);
  return rows_.capacity() + inverse_norms_.capacity() * sizeof(float) +
         entries_.capacity() * sizeof(std::uint64_t) + row_of_.size() * map_node +
         row_of_.bucket_count() * sizeof(void*);
}

} // namespace bitnetd::store
