// SPDX-License-Identifier: MIT
#include "engine/pretokenizer.h"

#include <catch2/catch.hpp>

#include <random>
#include <string>

using namespace bitnetd::engine;

using words = std::vector<std::string_view>;

TEST_CASE("the Llama-3 pattern cuts as published", "[engine][pretokenizer]") {
  const auto cut = [](std::string_view text) { return split_words(text, split_rules::llama3); };
  CHECK(cut("").empty());
  CHECK(cut("Hello, world!") == words{"Hello", ",", " world", "!"});
  CHECK(cut("DON'T we'll") == words{"DON", "'T", " we", "'ll"});
  CHECK(cut("'quoted'") == words{"'quoted", "'"});
  CHECK(cut("12345 67") == words{"123", "45", " ", "67"});
  CHECK(cut("a  b   c") == words{"a", " ", " b", "  ", " c"});
  CHECK(cut("end \n\n  next  ") == words{"end", " \n\n", " ", " next", "  "});
  CHECK(cut("x;\r\n\ty") == words{"x", ";\r\n", "\ty"});
  CHECK(cut("(a) {b}") == words{"(a", ")", " {", "b", "}"});
  CHECK(cut("\xC3\xA9t\xC3\xA9 \xE4\xBD\xA0") == words{"\xC3\xA9t\xC3\xA9", " \xE4\xBD\xA0"});
}

TEST_CASE("Qwen's pattern takes digits one by one", "[engine][pretokenizer]") {
  CHECK(split_words("a12 '34", split_rules::qwen2) == words{"a", "1", "2", " '", "3", "4"});
}

TEST_CASE("the GPT-2 pattern cuts as published", "[engine][pretokenizer]") {
  const auto cut = [](std::string_view text) { return split_words(text, split_rules::gpt2); };
  CHECK(cut("Don't DON'T") == words{"Don", "'t", " DON", "'", "T"});
  CHECK(cut("in 12345 ways") == words{"in", " 12345", " ways"});
  CHECK(cut("a\n\n b  ") == words{"a", "\n\n", " b", "  "});
  CHECK(cut("\tx ++") == words{"\t", "x", " ++"});
}

TEST_CASE("Falcon cuts punctuation first and digits in threes last", "[engine][pretokenizer]") {
  const auto cut = [](std::string_view text) { return split_words(text, split_rules::falcon); };
  CHECK(cut("a, b 12345.6") == words{"a", ",", " b", " ", "123", "45", ".", "6"});
  CHECK(cut("x  =y\xE2\x82\xAC") == words{"x", "  ", "=", "y", "\xE2\x82\xAC"});
}

TEST_CASE("what Falcon does with digits is one of several ways", "[engine][pretokenizer]") {
  const auto cut = [](std::string_view text, split_rules::digits after, unsigned group) {
    return split_words(text, {split_rules::pattern::gpt2, true, after, group});
  };
  using digits = split_rules::digits;
  CHECK(cut("in 1234", digits::as_they_are, 1) == words{"in", " ", "1", "2", "3", "4"});
  CHECK(cut("in 12", digits::as_they_are, 3) == words{"in", " 12"});
  CHECK(cut("in 12", digits::runs_apart, 3) == words{"in", " ", "12"});
  CHECK(cut("in 1234", digits::runs_apart, 3) == words{"in", " ", "123", "4"});
  CHECK(cut("in 12", digits::each_apart, 0) == words{"in", " ", "1", "2"});
  // The step Digits sees bytes by their letters: the second byte of this one looks like ².
  CHECK(cut("\xC3\xB2", digits::runs_apart, 3) == words{"\xC3", "\xB2"});
}

TEST_CASE("a byte that is not UTF-8 is a piece of its own", "[engine][pretokenizer]") {
  for (const auto rules :
       {split_rules::llama3, split_rules::qwen2, split_rules::gpt2, split_rules::falcon}) {
    CHECK(split_words("ab\xFF\xFE"
                      "c",
                      rules) == words{"ab", "\xFF", "\xFE", "c"});
    CHECK(split_words(" \xE2\x82!", rules) == words{" ", "\xE2", "\x82", "!"});
    CHECK(split_words("\xED\xA0\x80", rules) == words{"\xED", "\xA0", "\x80"}); // a surrogate
  }
}

TEST_CASE("pieces are never empty and together are the text", "[engine][pretokenizer]") {
  std::mt19937 random{7};
  constexpr std::string_view bytes =
      "aZ's09 \t\r\n.,$\xC3\xA9\xE2\x80\xA8\xF0\x9F\x98\x80\xFF\xCC\x81";
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (auto n = random() % 24; n > 0; --n)
      text += bytes[random() % bytes.size()];
    for (const auto rules :
         {split_rules::llama3, split_rules::qwen2, split_rules::gpt2, split_rules::falcon}) {
      std::string joined;
      for (const auto piece : split_words(text, rules)) {
        REQUIRE_FALSE(piece.empty());
        joined += piece;
      }
      REQUIRE(joined == text);
    }
  }
}
