// SPDX-License-Identifier: MIT
#include "actors/wording.h"

#include <catch2/catch.hpp>

using namespace bitnetd::actors;
using list = std::vector<std::string>;

TEST_CASE("a text is taken apart into what guards compare", "[actors][guards]") {
  const auto text = wording_of("Please don't convert 1,250 miles from `x.csv` to km in Paris.");
  CHECK(text.numbers == list{"1250"});
  CHECK(text.units == list{"kilometre", "mile"});
  CHECK(text.literals == list{"x.csv"});
  CHECK(text.names == list{"paris"});
  CHECK(text.negations == list{"don't"});
  CHECK(text.content == list{"conversion"});
}

TEST_CASE("what speaks of now is volatile", "[actors][guards]") {
  CHECK(wording_of("What is the weather today?").is_volatile);
  CHECK(wording_of("Explain the code above.").is_volatile);
  CHECK_FALSE(wording_of("What is a ternary weight?").is_volatile);
}

TEST_CASE("content words that differ are counted as replaced and added", "[actors][guards]") {
  const auto of = [](const char* a, const char* b) {
    const auto d = difference_of(wording_of(a), wording_of(b));
    return std::pair{d.replaced, d.added};
  };
  CHECK(of("capital of France", "What is the capital of France?") ==
        std::pair<std::size_t, std::size_t>{0, 0});
  CHECK(of("capital of France", "population of France") ==
        std::pair<std::size_t, std::size_t>{1, 0});
  CHECK(of("capital city of France", "capital of France") ==
        std::pair<std::size_t, std::size_t>{0, 1});
  CHECK(of("the temperature of iron", "the tepmerature of iron") ==
        std::pair<std::size_t, std::size_t>{0, 0});
}

TEST_CASE("content words in another order are counted as moved", "[actors][guards]") {
  const auto moved = [](const char* a, const char* b) {
    return difference_of(wording_of(a), wording_of(b)).moved;
  };
  CHECK(moved("capital of France", "What is the capital of France?") == 0);
  CHECK(moved("capital of France", "of France the capital") == 1);
  CHECK(moved("does the parser call the lexer", "does the lexer call the parser") == 2);
  CHECK(moved("does the parser call the lexer", "does the linker call the loader") == 0);
  CHECK(moved("", "capital of France") == 0);
}
