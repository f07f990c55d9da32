// SPDX-License-Identifier: MIT

// GCC 12 warns about its own header: "undefined" vectors there are written `v = v`.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define BITNETD_HASH_LANES 8
#include "base/piece_hash_lanes.h"

void bitnetd::hash_8_pieces_avx512(const uint8_t* data, size_t piece_bytes, uint8_t* out) noexcept {
  hash_pieces(data, piece_bytes, out);
}
