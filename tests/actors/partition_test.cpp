// SPDX-License-Identifier: MIT
#include "actors/partition.h"
#include "pure_test_helpers.h"

#include <catch2/catch.hpp>

#include <functional>
#include <set>
#include <utility>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::actors;
using bitnetd::actors::testing::job_maker;

TEST_CASE("whatever may change an answer changes the partition", "[actors][cache]") {
  const std::vector<std::pair<std::string, std::function<void(job_maker&)>>> changes{
      {"tenant", [](job_maker& j) { j.what.principal = "bob"; }},
      {"namespace", [](job_maker& j) { j.what.cache.name_space = "x"; }},
      {"model", [](job_maker& j) { j.how.model = testing::bare_model("m", 2); }},
      {"stop strings", [](job_maker& j) { j.what.params.stop = {"."}; }},
      {"two stop strings",
       [](job_maker& j) {
         j.what.params.stop = {".", ""};
       }},
      {"ignore_eos", [](job_maker& j) { j.what.params.ignore_eos = true; }},
      {"repetition penalty", [](job_maker& j) { j.how.sampling.repetition_penalty = 1.1f; }},
      {"logit bias",
       [](job_maker& j) {
         j.how.sampling.logit_bias = {{5, 1.0f}};
       }},
      {"kind", [](job_maker& j) { j.what.items[0].kind = job_kind::embedding; }},
      {"history",
       [](job_maker& j) {
         j.what.items[0].messages = {{"system", "Be brief."}, {"user", "q"}};
       }},
      {"other system prompt",
       [](job_maker& j) {
         j.what.items[0].messages = {{"system", "Be kind."}, {"user", "q"}};
       }},
      {"roles",
       [](job_maker& j) {
         j.what.items[0].messages = {{"assistant", "Be kind."}, {"user", "q"}};
       }},
      {"seeded draw",
       [](job_maker& j) {
         j.how.sampling.temperature = 1;
         j.what.params.seed = 7;
         j.how.sampling.seed = 7;
       }},
      {"other seed",
       [](job_maker& j) {
         j.how.sampling.temperature = 1;
         j.what.params.seed = 8;
         j.how.sampling.seed = 8;
       }},
      {"free draw", [](job_maker& j) { j.how.sampling.temperature = 1; }},
      {"other temperature", [](job_maker& j) { j.how.sampling.temperature = 0.5f; }},
  };
  std::set<hash128> partitions{cache_key_of(job_maker{}.make("q")).partition};
  for (const auto& [what, change] : changes) {
    job_maker maker;
    change(maker);
    INFO(what);
    CHECK(partitions.insert(cache_key_of(maker.make("q")).partition).second);
  }
  // The words themselves, and what does not change an answer, do not.
  CHECK(partitions.contains(cache_key_of(job_maker{}.make("another question")).partition));
  job_maker patient;
  patient.how.max_new_tokens = 9;
  patient.what.credit = 1;
  CHECK(partitions.contains(cache_key_of(patient.make("q")).partition));
}

TEST_CASE("a completion's words count byte for byte", "[actors][cache]") {
  job_maker maker;
  CHECK(cache_key_of(maker.make("a ")).key != cache_key_of(maker.make("a")).key);
  CHECK(cache_key_of(maker.make("a\r\n")).canonical == "a\r\n");
}

TEST_CASE("how a draw is cached follows from temperature and seed", "[actors][cache]") {
  job_maker maker;
  CHECK(cache_key_of(maker.make("q")).sampling == sampling_class::greedy);
  maker.how.sampling.temperature = 0.7f;
  CHECK(cache_key_of(maker.make("q")).sampling == sampling_class::drawn);
  maker.what.params.seed = 3;
  CHECK(cache_key_of(maker.make("q")).sampling == sampling_class::seeded);
}

TEST_CASE("an answer fits another length only where it would have been the same",
          "[actors][cache]") {
  CHECK(fits_length("stop", 10, 10));
  CHECK(fits_length("stop", 10, 500));
  CHECK_FALSE(fits_length("stop", 10, 9));
  CHECK(fits_length("length", 10, 10));
  CHECK_FALSE(fits_length("length", 10, 11));
  CHECK_FALSE(fits_length("length", 10, 9));
}

TEST_CASE("prior confidence is one half at the threshold and rises with similarity",
          "[actors][cache]") {
  CHECK(prior_confidence(0.9, 0.9) == Approx(0.5));
  double last = 0;
  for (double cosine = 0.5; cosine <= 1.0; cosine += 0.01) {
    const auto now = prior_confidence(cosine, 0.9);
    CHECK(now > last);
    last = now;
  }
  CHECK(prior_confidence(1.0, 0.9) < 0.95); // nothing was learned: it is not sure of anything
}

TEST_CASE("principals share a partition when the configuration gives them one namespace",
          "[actors][cache]") {
  const auto config = [](std::string of_alice, std::string of_bob) {
    auto out = std::make_shared<conf::config>();
    out->principals = {{"alice", conf::role::submit, 1, 0, 0, std::move(of_alice)},
                       {"bob", conf::role::submit, 1, 0, 0, std::move(of_bob)}};
    return conf::config_ptr(out);
  };
  const auto partition = [](const std::string& principal, const conf::config_ptr& with) {
    job_maker maker;
    maker.what.principal = principal;
    maker.how.config = with;
    return cache_key_of(maker.make("q")).partition;
  };
  const auto shared = config("team", "team"), apart = config("team", "bench");
  CHECK(partition("alice", shared) == partition("bob", shared));
  CHECK(partition("alice", apart) != partition("bob", apart));
  CHECK(partition("team", shared) != partition("alice", shared)); // a principal of that name
  CHECK(partition("carol", shared) != partition("alice", shared));
}
