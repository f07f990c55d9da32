// SPDX-License-Identifier: MIT
#include "base/utf8.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace bitnetd;
using namespace std::string_view_literals;

namespace {

/// Encodes by the bit pattern table of RFC 3629, section 3.
std::string encode(char32_t c) {
  const auto byte = [](char32_t x) { return static_cast<char>(x); };
  if (c < 0x80)
    return {byte(c)};
  if (c < 0x800)
    return {byte(0xC0 | c >> 6), byte(0x80 | (c & 63))};
  if (c < 0x10000)
    return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63))};
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 63)), byte(0x80 | (c >> 6 & 63)),
          byte(0x80 | (c & 63))};
}

} // namespace

TEST_CASE("every code point but the surrogates decodes to itself", "[base][utf8]") {
  std::size_t wrong = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const auto text = encode(c);
    const auto point = utf8_decode(text);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    wrong +=
        surrogate ? point.valid : !(point.valid && point.value == c && point.size == text.size());
  }
  CHECK(wrong == 0);
}

TEST_CASE("what RFC 3629 forbids is invalid and one byte long", "[base][utf8]") {
  for (const auto bad : {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x80\x80"sv, "\xED\xA0\x80"sv,
                         "\xF0\x80\x80\x80"sv, "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\xFF"sv,
                         "\xE2\x82"sv, "\xE2\x28\xA1"sv}) {
    const auto point = utf8_decode(bad);
    CHECK_FALSE(point.valid);
    CHECK(point.size == 1);
    CHECK(utf8_find_invalid(bad) == 0);
  }
  CHECK(utf8_find_invalid("ab\xC3\xA9z") == std::string_view::npos);
  CHECK(utf8_find_invalid("ab\xC3z"sv) == 2);
}

TEST_CASE("a text cut anywhere has a complete prefix that ends at a code point", "[base][utf8]") {
  std::mt19937 random{7};
  for (int round = 0; round < 500; ++round) {
    std::string text;
    std::vector<std::size_t> borders{0};
    for (int i = 0; i < 8; ++i) {
      const auto c = static_cast<char32_t>(random() % 0x110000);
      text += encode(c >= 0xD800 && c < 0xE000 ? U'x' : c);
      borders.push_back(text.size());
    }
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      const auto border = *(std::upper_bound(borders.begin(), borders.end(), cut) - 1);
      REQUIRE(utf8_complete_prefix(std::string_view{text}.substr(0, cut)) == border);
    }
  }
}

TEST_CASE("bytes that can never become valid count as complete", "[base][utf8]") {
  CHECK(utf8_complete_prefix("a\xFF"sv) == 2);
  CHECK(utf8_complete_prefix("a\x80\x80\x80\x80"sv) == 5);
  CHECK(utf8_complete_prefix("a\xE2\x28"sv) == 3);
}
