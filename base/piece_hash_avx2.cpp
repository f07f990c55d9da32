// SPDX-License-Identifier: MIT
#define BITNETD_HASH_LANES 4
#include "base/piece_hash_lanes.h"

void bitnetd::hash_4_pieces_avx2(const uint8_t* data, size_t piece_bytes, uint8_t* out) noexcept {
  hash_pieces(data, piece_bytes, out);
}
