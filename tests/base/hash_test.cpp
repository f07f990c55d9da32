// SPDX-License-Identifier: MIT
#include "base/hash.h"

#include <catch2/catch.hpp>

using namespace bitnetd;

TEST_CASE("a hash is the first half of the published BLAKE2b-512 digests", "[base][hash]") {
  // RFC 7693, appendix A, and the digest of the empty string from the BLAKE2 test vectors.
  CHECK(hash_bytes("abc").hex() == "ba80a53f981c4d0d6a2797b69f12f6e9");
  CHECK(hash_bytes("").hex() == "786a02f742015903c6c6fd852552d272");
}

TEST_CASE("fields are kept apart: moving a byte over the border changes the hash", "[base][hash]") {
  CHECK(hasher{}.field("ab").field("c").finish() != hasher{}.field("a").field("bc").finish());
  CHECK(hasher{}.field("a").finish() != hasher{}.field("a").field("").finish());
  CHECK(hasher{}.field("a").field(std::uint64_t{7}).finish() ==
        hasher{}.field("a").field(std::uint64_t{7}).finish());
}
