// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"

#include <cstddef>
#include <span>

namespace bitnetd {

constexpr std::size_t hash_piece_bytes = 16384;

/// Hash of a long byte string by way of its pieces: hash_bytes of the hashes (16 bytes each) of
/// every 16 KiB, the last piece as short as it is, one behind the other. One BLAKE2b is a chain
/// that leaves most of a core idle; of pieces, eight (AVX-512) or four (AVX2) are hashed at once.
/// The hash is the same on every CPU. It is another than hash_bytes of the whole.
[[nodiscard]] hash128 hash_in_pieces(std::span<const std::byte> bytes);

} // namespace bitnetd
