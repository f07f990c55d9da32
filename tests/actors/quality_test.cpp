// SPDX-License-Identifier: MIT
#include "actors/quality.h"
#include "pure_test_helpers.h"

#include <catch2/catch.hpp>

#include <limits>

using namespace bitnetd::actors;
using bitnetd::actors::testing::job_maker;

namespace {

using names = std::vector<std::string>;

struct sound_answer {
  job_maker maker;
  answer what;

  sound_answer() {
    what.text = "A ternary weight is -1, 0 or +1.";
    what.tokens = {5, 6, 7, 8};
    what.finish = "stop";
    what.used = {3, 4, 0};
    what.mean_logprob = -0.4;
  }
  [[nodiscard]] names failed(job_kind kind = job_kind::completion) const {
    return failed_checks(what, maker.how, kind);
  }
};

} // namespace

TEST_CASE_METHOD(sound_answer, "a sound answer passes every check", "[actors][quality]") {
  CHECK(failed().empty());
  what.finish = "length";
  what.used.completion_tokens = 32;
  what.tokens.assign(32, 5);
  CHECK(failed().empty());
}

TEST_CASE_METHOD(sound_answer, "each check fails by its own name", "[actors][quality]") {
  SECTION("utf8") {
    what.text = "caf\xC3";
    CHECK(failed() == names{"utf8"});
  }
  SECTION("empty") {
    what.text.clear();
    CHECK(failed() == names{"empty"});
  }
  SECTION("finish: cut short and not said so") {
    what.finish = "length";
    CHECK(failed() == names{"finish"});
  }
  SECTION("finish: unknown reason") {
    what.finish = "cancel";
    CHECK(failed() == names{"finish"});
  }
  SECTION("numeric") {
    what.mean_logprob = std::numeric_limits<double>::quiet_NaN();
    CHECK(failed() == names{"numeric"});
  }
  SECTION("logprob") {
    what.mean_logprob = -9;
    CHECK(failed() == names{"logprob"});
  }
  SECTION("repetition") {
    what.text = "It is: ";
    for (int i = 0; i < 40; ++i)
      what.text += "yes ";
    CHECK(failed() == names{"repetition"});
  }
  SECTION("usage") {
    what.used.completion_tokens = 9;
    CHECK(failed() == names{"usage"});
  }
}

TEST_CASE_METHOD(sound_answer, "an embedding is there, finite and of length one",
                 "[actors][quality]") {
  what = {};
  CHECK(failed(job_kind::embedding) == names{"empty"});
  what.embedding = {0.6f, 0.8f};
  CHECK(failed(job_kind::embedding).empty());
  what.embedding = {0.6f, 0.9f};
  CHECK(failed(job_kind::embedding) == names{"numeric"});
  what.embedding = {0.6f, std::numeric_limits<float>::infinity()};
  CHECK(failed(job_kind::embedding) == names{"numeric"});
}

TEST_CASE("repetition is a loop at the end, not a list or a short text", "[actors][quality]") {
  CHECK_FALSE(degenerate_repetition("no no no no no no"));
  CHECK_FALSE(degenerate_repetition(
      "1. open the file 2. read the file 3. close the file 4. open another file 5. read it too"));
  CHECK(degenerate_repetition(std::string(200, 'a')));
  std::string loop = "The answer to this question is as follows and then it went wrong: ";
  while (loop.size() < 400)
    loop += "and so on, ";
  CHECK(degenerate_repetition(loop));
}
