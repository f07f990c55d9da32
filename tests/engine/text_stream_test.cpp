// SPDX-License-Identifier: MIT
#include "base/utf8.h"
#include "engine/text_stream.h"

#include <catch2/catch.hpp>

#include <random>

using bitnetd::utf8_find_invalid;
using bitnetd::engine::text_stream;

namespace {

struct outcome {
  std::string text;
  bool stopped;
  bool operator==(const outcome&) const = default;
};

/// Feeds `bytes` cut as `random` wills; every part that comes out must be valid UTF-8.
outcome stream(std::string_view bytes, const std::vector<std::string>& stops,
               std::mt19937& random) {
  text_stream text{stops};
  std::string out;
  while (!bytes.empty()) {
    const auto n = std::min<std::size_t>(bytes.size(), random() % 4);
    const auto part = text.feed(bytes.substr(0, n));
    REQUIRE(utf8_find_invalid(part) == std::string_view::npos);
    out += part;
    bytes.remove_prefix(n);
  }
  const auto rest = text.flush();
  REQUIRE(utf8_find_invalid(rest) == std::string_view::npos);
  return {out + rest, text.stopped()};
}

outcome whole(std::string_view bytes, const std::vector<std::string>& stops = {}) {
  text_stream text{stops};
  const auto first = text.feed(bytes);
  return {first + text.flush(), text.stopped()};
}

/// The definition: the first byte at which any stop string is complete, and the longest of those.
outcome naive(std::string_view bytes, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= bytes.size(); ++end) {
    std::size_t longest = 0;
    for (const auto& stop : stops)
      if (bytes.substr(0, end).ends_with(stop))
        longest = std::max(longest, stop.size());
    if (longest > 0)
      return {std::string{bytes.substr(0, end - longest)}, true};
  }
  return {std::string{bytes}, false};
}

} // namespace

TEST_CASE("characters come out when they are whole", "[engine][text_stream]") {
  text_stream text;
  CHECK(text.feed("a\xE2") == "a");
  CHECK(text.feed("\x82").empty());
  CHECK(text.feed("\xAC"
                  "b\xF0\x9F") == "\xE2\x82\xAC"
                                  "b");
  CHECK(text.feed("\x98\x80") == "\xF0\x9F\x98\x80");
  CHECK(text.flush().empty());
}

TEST_CASE("bytes that can never become a character are replaced as Python replaces them",
          "[engine][text_stream]") {
  const std::string bad = "\xEF\xBF\xBD";
  // Expected values: bytes.decode("utf-8", "replace").
  CHECK(whole("a\xFF"
              "b")
            .text == "a" + bad + "b");
  CHECK(whole("\x80\x80").text == bad + bad);
  CHECK(whole("\xE2\x82").text == bad);
  CHECK(whole("\xE2\x82x").text == bad + "x");
  CHECK(whole("\xF0\x9F\x98\xE2\x82\xAC").text == bad + "\xE2\x82\xAC");
  CHECK(whole("\xC0\xAF").text == bad + bad);
  CHECK(whole("\xED\xA0\x80").text == bad + bad + bad);
  CHECK(whole("\xF4\x90\x80\x80").text == bad + bad + bad + bad);
  CHECK(whole("\xF0\x80\x80").text == bad + bad + bad);
}

TEST_CASE("text ends before a stop string, however it is cut", "[engine][text_stream]") {
  text_stream text{{"STOP", "\n\n"}};
  CHECK(text.feed("go on\nS") == "go on\n");
  CHECK(text.feed("TO").empty());
  CHECK(text.feed("RY\n") == "STORY");
  CHECK_FALSE(text.stopped());
  CHECK(text.feed("\nmore").empty());
  CHECK(text.stopped());
  CHECK(text.feed("even more").empty());
  CHECK(text.flush().empty());
}

TEST_CASE("what looked like a stop string comes out at the end", "[engine][text_stream]") {
  text_stream text{{"END."}};
  CHECK(text.feed("the END") == "the ");
  CHECK(text.flush() == "END");
  CHECK_FALSE(text.stopped());
}

TEST_CASE("the stop string that is complete first wins, and of equals the longest",
          "[engine][text_stream]") {
  CHECK(whole("xabcde", {"abcde", "cd"}) == outcome{"xab", true});
  CHECK(whole("xabcd", {"cd", "bcd"}) == outcome{"xa", true});
  CHECK(whole("aabaabaaa", {"aabaaa"}) == outcome{"aab", true}); // needs the fallback
  CHECK(whole("aabaaabaaab", {"aabaaabaaab"}) == outcome{"", true});
  CHECK(whole("aabaaaabaaab", {"aabaaab"}) == outcome{"aabaa", true}); // and the fallback's own
  CHECK(whole("abc", {""}) == outcome{"abc", false});
}

TEST_CASE("a broken character before a stop string is replaced", "[engine][text_stream]") {
  CHECK(whole("a\xE2\x82|end", {"|end"}) == outcome{"a\xEF\xBF\xBD", true});
}

TEST_CASE("what comes out does not depend on how the bytes were cut", "[engine][text_stream]") {
  std::mt19937 random{5};
  constexpr std::string_view letters = "aab";
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    for (auto n = random() % 80; n > 0; --n)
      bytes += letters[random() % letters.size()];
    std::vector<std::string> stops(random() % 4);
    for (auto& stop : stops)
      for (auto n = 1 + random() % 9; n > 0; --n)
        stop += letters[random() % letters.size()];
    REQUIRE(stream(bytes, stops, random) == naive(bytes, stops));
  }
  for (int i = 0; i < 3000; ++i) { // bytes of all kinds
    std::string bytes;
    for (auto n = random() % 20; n > 0; --n)
      bytes += random() % 2 == 0 ? std::string{static_cast<char>(random())} : "\xE2\x82\xAC|";
    const std::vector<std::string> stops = {"\x82", "\xAC|\xE2\x82\xAC|"};
    REQUIRE(stream(bytes, stops, random) == whole(bytes, stops));
  }
}
