// SPDX-License-Identifier: MIT
#include "base/piece_hash.h"

#include "base/piece_hash_functions.h"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace bitnetd {

namespace {

/// How many pieces this CPU hashes at once, and the function that does.
struct side_by_side {
  std::size_t pieces = 1;
  hash_pieces_fn* hash = nullptr;
};

side_by_side best_for_this_cpu() noexcept {
#ifdef BITNETD_HAVE_X86_HASHES
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
    return {8, hash_8_pieces_avx512};
  if (__builtin_cpu_supports("avx2"))
    return {4, hash_4_pieces_avx2};
#endif
  return {};
}

} // namespace

hash128 hash_in_pieces(std::span<const std::byte> bytes) {
  static_assert(sizeof(hash128) == 16 && std::is_trivially_copyable_v<hash128>);
  static const auto best = best_for_this_cpu();
  std::vector<hash128> hashes((bytes.size() + hash_piece_bytes - 1) / hash_piece_bytes);
  std::size_t done = 0;
  if (best.hash != nullptr)
    for (; bytes.size() >= best.pieces * hash_piece_bytes; done += best.pieces) {
      best.hash(reinterpret_cast<const std::uint8_t*>(bytes.data()), hash_piece_bytes,
                hashes[done].bytes.data());
      bytes = bytes.subspan(best.pieces * hash_piece_bytes);
    }
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(hash_piece_bytes, bytes.size())))
    hashes[done++] = hash_bytes(bytes.first(std::min(hash_piece_bytes, bytes.size())));
  return hash_bytes(std::as_bytes(std::span{hashes}));
}

} // namespace bitnetd
