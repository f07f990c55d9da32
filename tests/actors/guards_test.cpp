// SPDX-License-Identifier: MIT
#include "actors/guards.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace bitnetd::actors;

namespace {

/// The guard that keeps two questions apart; "none" when they may share an answer.
std::string veto_of(const std::string& a, const std::string& b, bool knows_meaning = true) {
  const auto left = wording_of(a), right = wording_of(b);
  const auto found = find_veto(left, right, knows_meaning);
  const auto turned = find_veto(right, left, knows_meaning);
  CHECK(found.has_value() == turned.has_value()); // whoever was first does not matter
  return found ? std::string(to_string(found->which)) : "none";
}

struct pair {
  std::string a, b;
};

} // namespace

TEST_CASE("another number is another question, however it is written", "[actors][guards]") {
  CHECK(veto_of("What is 2 plus 2?", "What is 2 plus 3?") == "numbers");
  CHECK(veto_of("Convert 1,000 miles to km.", "Convert 1000 miles to kilometers.") == "none");
  CHECK(veto_of("What happens at 5pm?", "What happens at 5 pm?") == "none");
  CHECK(veto_of("What happens at 5pm?", "What happens at 5am?") == "units");
  CHECK(veto_of("How do I wait for three seconds?", "How do I wait for 3 seconds?") == "none");
  CHECK(veto_of("Is -5 odd?", "Is 5 odd?") == "numbers");
  CHECK(veto_of("Round 2.50 up.", "Round 2.5 up.") == "none");
}

TEST_CASE("a negation on one side only is a veto", "[actors][guards]") {
  CHECK(veto_of("Should I restart the daemon?", "Should I not restart the daemon?") == "negation");
  CHECK(veto_of("Is it safe without a fan?", "Is it safe with a fan?") == "negation");
  CHECK(veto_of("Why doesn't it start?", "Why does it not start?") == "none");
  CHECK(veto_of("Is it wtihout sugar?", "Is it with sugar?") == "negation"); // a slip of the hand
}

TEST_CASE("quotations, code, paths and options count letter by letter", "[actors][guards]") {
  CHECK(veto_of("What does \"laconic\" mean?", "What does \"cogent\" mean?") == "literals");
  CHECK(veto_of("Explain `fork`.", "Explain `exec`.") == "literals");
  CHECK(veto_of("What is /etc/hosts?", "What is /etc/fstab?") == "literals");
  CHECK(veto_of("What does --force do?", "What does --quiet do?") == "literals");
  CHECK(veto_of("Where is std::sort?", "Where is std::find?") == "literals");
  CHECK(veto_of("Mail a@x.org.", "Mail b@x.org.") == "literals");
  CHECK(veto_of("Open https://x.org/a.", "Open https://x.org/b.") == "literals");
  CHECK(veto_of("Set cache.mode to on.", "Set cache.ttl to on.") == "literals");
}

TEST_CASE("units must agree where they are counted and where they are asked for",
          "[actors][guards]") {
  CHECK(veto_of("What is 5 miles in kilometres?", "What is 5 miles in metres?") == "units");
  CHECK(veto_of("5 miles to km", "How many kilometers are 5 miles?") == "none");
  CHECK(veto_of("Summarize it in 5 words.", "Summarize it in 5 sentences.") == "units");
  CHECK(veto_of("5 km in miles", "5 miles in km") != "none");
}

TEST_CASE("another name is another question", "[actors][guards]") {
  CHECK(veto_of("What is the capital of France?", "What is the capital of Spain?") == "names");
  CHECK(veto_of("What is the capital of France?", "what is the capital of france") == "none");
  CHECK(veto_of("What is the capital of france?", "What is the capital of spain?") == "replaced");
}

TEST_CASE("an opposite in a word's place is a veto", "[actors][guards]") {
  CHECK(veto_of("How do I enable the cache?", "How do I disable the cache?") == "opposites");
  CHECK(veto_of("Turn the light on, please.", "Turn the light off, please.") == "opposites");
  CHECK(veto_of("How do I turn on the light?", "How do I enable the light?") == "none");
  CHECK(veto_of("Sort in ascending order.", "Sort in descending order.") == "opposites");
}

TEST_CASE("who plays which part decides, not where it stands", "[actors][guards]") {
  CHECK(veto_of("How far is it from Rome to Oslo?", "How far is it from Oslo to Rome?") == "order");
  CHECK(veto_of("Flights from Rome to Oslo?", "Flights to Oslo from Rome?") == "none");
  CHECK(veto_of("Is iron heavier than lead?", "Is lead heavier than iron?") == "order");
  CHECK(veto_of("Add 3 and 5.", "Add 5 and 3.") == "none");
  CHECK(veto_of("What is 5 minus 3?", "What is 3 minus 5?") == "order");
  CHECK(veto_of("Subtract 3 from 5.", "What is 3 minus 5?") == "order");
}

TEST_CASE("format, kind of question, length, script and language must agree", "[actors][guards]") {
  CHECK(veto_of("List the planets as JSON.", "List the planets as YAML.") == "format");
  CHECK(veto_of("Who invented it?", "Why invented it?") == "asks");
  CHECK(veto_of(
            "How do I cook rice?",
            "How do I cook rice, beans, lentils, salmon, barley, pasta, onions, beef and corn?") ==
        "length");
  CHECK(veto_of("Что такое кэш?", "What is a cache?") == "language");
  CHECK(veto_of("wie ist das wetter und der wind", "quel est le temps et le vent") == "language");
}

TEST_CASE("what speaks of now is answered for itself alone", "[actors][guards]") {
  CHECK(veto_of("What is the weather in Rome today?", "What's the weather in Rome today?") ==
        "volatility");
  CHECK(veto_of("What is the weather in Rome?", "What is the latest weather in Rome?") ==
        "volatility");
  CHECK(veto_of("What is the weather in Rome?", "Tell me the weather in Rome.") == "none");
}

TEST_CASE("an embedder without meaning may not exchange words", "[actors][guards]") {
  const std::string a = "Which vaccines should puppies have?",
                    b = "What shots are due for puppies?";
  CHECK(veto_of(a, b, true) == "none");
  CHECK(veto_of(a, b, false) == "words");
}

TEST_CASE("paraphrases of one question pass", "[actors][guards]") {
  const std::vector<pair> same{
      {"What is a ternary weight?", "Can you explain what ternary weights are?"},
      {"How do I cancel a job?", "Please tell me: how can I cancel a job?"},
      {"What is the capital of France?", "Tell me the capital of France."},
      {"How do I undo the last 3 commits?", "Undo my last 3 commits."},
      {"Translate \"hello\" into German.", "How do you say \"hello\" in German?"},
  };
  for (const auto& [a, b] : same) {
    INFO(a << " | " << b);
    CHECK(veto_of(a, b) == "none");
  }
}

TEST_CASE("any bytes can be taken apart", "[actors][guards]") {
  for (const auto& text :
       {std::string(), std::string("\0\xff\xfe \x80", 5), std::string("\"\"`\"`"),
        std::string("'''''"), std::string(8'192, '"'), std::string("--- - -- ."),
        std::string("5-5-5-5 5.5.5 ,,,5"), std::string("a-b-c-d-e-f")}) {
    const auto words = wording_of(text);
    CHECK_FALSE(find_veto(words, words, false));
  }
}

TEST_CASE("a veto says what it saw", "[actors][guards]") {
  const auto found = find_veto(wording_of("Wait 5 seconds."), wording_of("Wait 6 seconds."), true);
  REQUIRE(found);
  CHECK(found->why == "5 against 6");
}
