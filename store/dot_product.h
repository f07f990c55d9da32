// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitnetd::store {

/// Exact products of int8 rows with a query, by the best instruction set of this machine; all give
/// the same bits. `size` is a multiple of dot_alignment.
inline constexpr std::size_t dot_alignment = 32;

/// `n_rows` rows of `size`, one after the other, with one query of 14 bits and a sign.
using scan_fn = void(const std::int8_t* rows, const std::int16_t* query, std::size_t n_rows,
                     std::size_t size, std::int64_t* products);
[[nodiscard]] scan_fn* choose_scan();

/// Two rows; `size` at most 131,072: the sum is an int32.
using row_dot_fn = std::int32_t(const std::int8_t* a, const std::int8_t* b, std::size_t size);
[[nodiscard]] row_dot_fn* choose_row_dot();

} // namespace bitnetd::store
