// SPDX-License-Identifier: MIT
#pragma once

// Included by the files that are compiled for one instruction set: C headers only.
#include <stddef.h>
#include <stdint.h>

namespace bitnetd {

/// Hashes neighbouring pieces side by side: the first 16 bytes of BLAKE2b-512 of each.
/// Shapes   data [pieces, piece_bytes]; out [pieces, 16].
/// Requires piece_bytes a multiple of 128, not 0.
using hash_pieces_fn = void(const uint8_t* data, size_t piece_bytes, uint8_t* out) noexcept;

hash_pieces_fn hash_4_pieces_avx2, hash_8_pieces_avx512;

} // namespace bitnetd
