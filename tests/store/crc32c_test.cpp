// SPDX-License-Identifier: MIT
#include "store/crc32c.h"

#include <catch2/catch.hpp>

#include <string>

using bitnetd::store::crc32c;

TEST_CASE("crc32c gives the values of RFC 3720", "[store][crc32c]") {
  CHECK(crc32c("123456789") == 0xE3069283u); // the check value of the polynomial's catalogues
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  std::string rising;
  for (int i = 0; i < 32; ++i)
    rising.push_back(static_cast<char>(i));
  CHECK(crc32c(rising) == 0x46DD794Eu);
  CHECK(crc32c("") == 0);
}

TEST_CASE("crc32c of a text is that of its halves one after the other", "[store][crc32c]") {
  const std::string text = "a log that lost its end looks like one that ends earlier";
  for (std::size_t cut = 0; cut <= text.size(); ++cut)
    CHECK(crc32c(text.substr(cut), crc32c(text.substr(0, cut))) == crc32c(text));
}
