// SPDX-License-Identifier: MIT
#include "store/dot_product.h"

namespace bitnetd::store {
namespace {

// A block of products of int8 with 14 bits fits into an int32.
constexpr std::size_t block = 1024;
static_assert(127ll * 8191 * block < (1ll << 31));

/// sum of row[i] * query[i], exact; `size` is a multiple of dot_alignment. The compiler turns the
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

__attribute__((always_inline)) inline std::int32_t row_dot(const std::int8_t* a,
                                                           const std::int8_t* b, std::size_t size) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < size; ++i)
    sum += static_cast<std::int16_t>(a[i]) * static_cast<std::int16_t>(b[i]);
  return sum;
}

std::int32_t row_dot_generic(const std::int8_t* a, const std::int8_t* b, std::size_t size) {
  return row_dot(a, b, size);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) std::int32_t row_dot_avx2(const std::int8_t* a,
                                                          const std::int8_t* b, std::size_t size) {
  return row_dot(a, b, size);
}
#endif

} // namespace

scan_fn* choose_scan() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2"))
    return scan_avx2;
#endif
  return scan_generic;
}

row_dot_fn* choose_row_dot() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2"))
    return row_dot_avx2;
#endif
  return row_dot_generic;
}

} // namespace bitnetd::store
