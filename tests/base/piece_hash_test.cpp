// SPDX-License-Identifier: MIT
#include "base/piece_hash.h"
#include "base/piece_hash_functions.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace bitnetd;

namespace {

std::string some_bytes(std::size_t n) {
  std::string bytes(n, '\0');
  std::uint32_t state = 7;
  for (auto& byte : bytes)
    byte = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  return bytes;
}

} // namespace

TEST_CASE("a hash in pieces is the hash of the pieces' hashes", "[base][hash]") {
  constexpr auto piece = hash_piece_bytes;
  for (const auto n : {std::size_t{0}, std::size_t{1}, piece - 1, piece, piece + 1, 4 * piece,
                       8 * piece, 15 * piece + 77, 29 * piece}) {
    CAPTURE(n);
    const auto bytes = some_bytes(n);
    std::string hashes;
    for (std::size_t at = 0; at < n; at += piece) {
      const auto one = hash_bytes(std::string_view{bytes}.substr(at, piece));
      hashes.append(one.bytes.begin(), one.bytes.end());
    }
    CHECK(hash_in_pieces(std::as_bytes(std::span{bytes})) == hash_bytes(hashes));
  }
}

#ifdef __x86_64__
TEST_CASE("pieces hashed side by side have the hashes they have alone", "[base][hash]") {
  const auto check = [](std::size_t pieces, hash_pieces_fn* hash) {
    for (const std::size_t piece : {128u, 384u, 16384u}) {
      const auto bytes = some_bytes(pieces * piece);
      std::vector<hash128> got(pieces);
      hash(reinterpret_cast<const std::uint8_t*>(bytes.data()), piece, got[0].bytes.data());
      for (std::size_t i = 0; i < pieces; ++i)
        CHECK(got[i] == hash_bytes(std::string_view{bytes}.substr(i * piece, piece)));
    }
  };
  if (__builtin_cpu_supports("avx2"))
    check(4, hash_4_pieces_avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
    check(8, hash_8_pieces_avx512);
}
#endif
