// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/base3_layout.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::engine::test {

/// Codes [rows, cols] of {-1, 0, +1} in the layout of base3_layout.h.
inline std::vector<std::byte> in_base3(std::span<const std::int8_t> codes, std::size_t rows,
                                       std::size_t cols) {
  std::vector<std::byte> two_bits(packed_bytes(rows, cols)), packed(base3_bytes(rows, cols));
  pack_ternary(codes, rows, cols, 0, two_bits);
  pack_base3(two_bits, rows, cols, packed);
  return packed;
}

} // namespace bitnetd::engine::test
