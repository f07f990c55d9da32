// SPDX-License-Identifier: MIT
#include "store/vector_index.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <string>

namespace bitnetd::store {
namespace {

constexpr std::size_t row_alignment = 32; // no remainder loop
// The query keeps 13 bits and a sign: its rounding is 64 times finer than that of the rows, and a
// block of products still fits into an int32.
constexpr float query_limit = 8191;
constexpr std::size_t block = 1024;

static_assert(127ll * 8191 * block < (1ll << 31));

/// sum of row[i] * query[i], exact; `size` is a multiple of row_alignment. The compiler turns the
/// inner loop into vpmovsxbw and vpmaddwd.
__attribute__((always_inline)) inline std::int64_t
dot_product(const std::int8_t* row, const std::int16_t* query, std::size_t size) {
  std::int64_t sum = 0;
  for (std::size_t from = 0; from < size; from += block) {
    const auto n = size - from < block ? size - from : block;
    std::int32_t part = 0;
    for (std::size_t i = from; i < from + n; ++i)
      part += static_cast<std::int16_t>(row[i]) * query[i];
    sum += part;
  }
  return sum;
}

using scan_fn = void(const std::int8_t* rows, const std::int16_t* query, std::size_t n_rows,
                     std::size_t stride, std::int64_t* products);

__attribute__((always_inline)) inline void scan(const std::int8_t* rows, const std::int16_t* query,
                                                std::size_t n_rows, std::size_t stride,
                                                std::int64_t* products) {
  for (std::size_t r = 0; r < n_rows; ++r)
    products[r] = dot_product(rows + r * stride, query, stride);
}

void scan_generic(const std::int8_t* rows, const std::int16_t* query, std::size_t n_rows,
                  std::size_t stride, std::int64_t* products) {
  scan(rows, query, n_rows, stride, products);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) void scan_avx2(const std::int8_t* rows, const std::int16_t* query,
                                               std::size_t n_rows, std::size_t stride,
                                               std::int64_t* products) {
  scan(rows, query, n_rows, stride, products);
}
#endif

scan_fn* choose_scan() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2"))
    return scan_avx2;
#endif
  return scan_generic;
}

/// The largest magnitude, if the vector can be quantized.
result<float> absmax(std::span<const float> vector) {
  if (vector.empty() || vector.size() > max_dimension)
    return status(errc::invalid, "a vector of " + std::to_string(vector.size()) +
                                     " values: expected 1 to " + std::to_string(max_dimension));
  float largest = 0;
  for (const auto value : vector) {
    if (!std::isfinite(value))
      return status(errc::invalid, "a vector holds NaN or infinity");
    largest = std::max(largest, std::fabs(value));
  }
  // Below the least normal number the division by it is no longer exact enough to round by.
  if (largest < 1e-30f)
    return status(errc::invalid, "a vector is zero");
  return largest;
}

template <class T> double norm(std::span<const T> values) {
  double sum = 0;
  for (const auto value : values)
    sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

std::size_t round_up(std::size_t n) {
  return (n + row_alignment - 1) / row_alignment * row_alignment;
}

} // namespace

result<quantized_vector> quantize(std::span<const float> vector) {
  const auto largest = absmax(vector);
  if (!largest)
    return largest.why();
  quantized_vector out;
  out.scale = *largest / 127;
  out.values.reserve(vector.size());
  for (const auto value : vector)
    out.values.push_back(static_cast<std::int8_t>(std::lround(value / *largest * 127)));
  return out;
}

vector_index::vector_index(std::size_t dimension)
    : dimension_(dimension), stride_(round_up(dimension)) {
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
  const auto length = norm<std::int8_t>(vector.values);
  if (length == 0)
    return {errc::invalid, "a vector is zero"};
  const auto [at, is_new] = row_of_.try_emplace(entry, entries_.size());
  if (is_new) {
    entries_.push_back(entry);
    inverse_norms_.push_back(0);
    rows_.resize(rows_.size() + stride_, 0);
  }
  std::copy(vector.values.begin(), vector.values.end(),
            rows_.begin() + static_cast<std::ptrdiff_t>(at->second * stride_));
  inverse_norms_[at->second] = static_cast<float>(1 / length);
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

bool vector_index::contains(std::uint64_t entry) const noexcept { return row_of_.contains(entry); }

result<std::vector<neighbour>> vector_index::search(std::span<const float> query,
                                                    std::size_t k) const {
  const auto largest = absmax(query);
  if (!largest)
    return largest.why();
  if (query.size() != dimension_)
    return status(errc::invalid, "a vector of " + std::to_string(query.size()) +
                                     " values: this index holds " + std::to_string(dimension_));
  std::vector<std::int16_t> quantized(stride_, 0);
  for (std::size_t i = 0; i < query.size(); ++i)
    quantized[i] = static_cast<std::int16_t>(std::lround(query[i] / *largest * query_limit));
  const auto inverse_norm = 1 / norm<std::int16_t>(quantized);

  std::vector<std::int64_t> products(entries_.size());
  choose_scan()(rows_.data(), quantized.data(), entries_.size(), stride_, products.data());

  std::vector<neighbour> all(entries_.size());
  for (std::size_t r = 0; r < all.size(); ++r)
    all[r] = {entries_[r], static_cast<float>(static_cast<double>(products[r]) * inverse_norm *
                                              inverse_norms_[r])};
  const auto better = [](const neighbour& a, const neighbour& b) {
    return a.cosine != b.cosine ? a.cosine > b.cosine : a.entry < b.entry;
  };
  const auto n = std::min(k, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(), better);
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
