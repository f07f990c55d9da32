// SPDX-License-Identifier: MIT
#include "actors/same_answer.h"

#include <catch2/catch.hpp>

using namespace bitnetd::actors;

TEST_CASE("two answers are the same, different, or it cannot be told", "[actors][cache]") {
  CHECK(same_answer("Paris.", "paris") == answer_match::same);
  CHECK(same_answer("Paris", "London") == answer_match::different);
  CHECK(same_answer("It takes 5 minutes.", "It takes 6 minutes.") == answer_match::different);
  CHECK(same_answer("It is safe.", "It is not safe.") == answer_match::different);
  CHECK(same_answer("Use `a`.", "Use `b`.") == answer_match::different);
  const auto* text = "bitnetd is a daemon that serves ternary language models over sockets to "
                     "programs on the same machine and keeps answers";
  const auto* nearly = "bitnetd is a daemon that serves ternary language models over sockets to "
                       "programs on the same machine and keeps all answers";
  const auto* partly =
      "bitnetd is a daemon that serves ternary language models but few people know "
      "where its configuration lives or which profile is in use";
  const auto* other = "Sorting takes a list of values and puts them into ascending order by "
                      "comparing neighbours again and again";
  CHECK(same_answer(text, nearly) == answer_match::same);
  CHECK(same_answer(text, partly) == answer_match::unknown);
  CHECK(same_answer(text, other) == answer_match::different);
}
