// SPDX-License-Identifier: MIT
#include "actors/negation.h"

#include <catch2/catch.hpp>

#include <string>

using namespace bitnetd::actors;

namespace {

/// What the guard says; empty when both deny the same.
std::string between(const std::string& a, const std::string& b) {
  const auto left = wording_of(a), right = wording_of(b);
  const auto found = negation_differs(left, right);
  CHECK(found.has_value() == negation_differs(right, left).has_value());
  return found.value_or("");
}

} // namespace

TEST_CASE("a contraction denies, with whatever apostrophe or none", "[actors][guards]") {
  for (const auto* text : {"Why doesn't the pump start?", "Why doesn\u2019t the pump start?",
                           "why doesnt the pump start", "Why does the pump not start?"}) {
    INFO(text);
    CHECK(between(text, "Why does the pump start?") != "");
    CHECK(between(text, "Why does the pump fail to start?") == "");
  }
}

TEST_CASE("words that deny without a not count as well", "[actors][guards]") {
  CHECK(between("Which soaps are non-toxic?", "Which soaps are toxic?") != "");
  CHECK(between("Who never voted?", "Who voted?") != "");
  CHECK(between("How do I avoid a reset?", "How do I do a reset?") != "");
  CHECK(between("Which lines are no longer printed?", "Which lines are printed?") != "");
  CHECK(between("What did they expect?", "What did they get?") == ""); // no slip of "except"
  CHECK(between("Can I sail without a licence?", "Can I sail with a licence?") != "");
}

TEST_CASE("the negation of a question tag denies nothing", "[actors][guards]") {
  CHECK(between("The lake freezes, doesn't it?", "The lake freezes, right?") == "");
  CHECK(between("The lake freezes doesn't it", "Does the lake freeze?") == "");
  CHECK(between("The lake freezes, doesn't it?", "The lake never freezes, does it?") != "");
  CHECK(between("Why isn't it?", "Why is it?") != ""); // no tag: it is what is asked
}

TEST_CASE("an offered alternative denies nothing", "[actors][guards]") {
  CHECK(between("Is the gate open or not?", "Is the gate open?") == "");
  CHECK(between("Tell me whether or not the gate is open.", "Is the gate open?") == "");
  CHECK(between("Is it not only cheap but also safe?", "Is it cheap and safe?") == "");
  CHECK(between("Is the gate open or not locked?", "Is the gate open or locked?") != "");
}

TEST_CASE("what is denied may not be exchanged for what is not", "[actors][guards]") {
  CHECK(between("Which birds fly but do not swim?", "Which birds swim but do not fly?") ==
        "not swim against not fly");
  CHECK(between("Which birds fly but do not swim?", "Which birds do not swim, but fly?") == "");
  CHECK(between("Why doesn't the pump start?", "Why does the pump not start?") == "");
}

TEST_CASE("a prefix or an ending denies the bare word", "[actors][guards]") {
  CHECK(between("Is the bridge unsafe?", "Is the bridge safe?") == "unsaf against saf");
  CHECK(between("Which grapes are seedless?", "Which grapes have a seed?") != "");
  CHECK(between("Is it reversible?", "Is it irreversible?") != "");
  CHECK(between("Is the inner ring wide?", "Is the ring wide?") == "");
}
