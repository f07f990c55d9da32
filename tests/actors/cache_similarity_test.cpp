// SPDX-License-Identifier: MIT
#include "tests/actors/cache_fixture.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// A unit vector at this cosine from the first axis.
std::vector<float> at_cosine(double cosine) {
  std::vector<float> out(256, 0.0f);
  out[0] = static_cast<float>(cosine);
  out[1] = static_cast<float>(std::sqrt(1 - cosine * cosine));
  return out;
}

struct similarity_fixture : cache_fixture {
  similarity_fixture() {
    config->profile.cache.trust = conf::cache_trust::threshold;
    config->profile.cache.threshold = 0.9;
    config->profile.cache.min_confidence = 0.5;
    mode(conf::cache_mode::on);
  }
  /// The worker answers the newest question for a vector.
  void embed(std::vector<float> vector) {
    const auto [atom, asked] = workers_in[0].last<embed_atom, embed_request>();
    tell(aut, embedded{asked.ticket, std::move(vector)});
  }
  job_id look_at(const std::string& text, double cosine) {
    const auto id = look(text);
    embed(at_cosine(cosine));
    return id;
  }
  void learn_at(const std::string& text, double cosine, const std::string& answer) {
    settle(look_at(text, cosine), answer);
  }
};

} // namespace

TEST_CASE_METHOD(similarity_fixture,
                 "a similar question is answered with similarity and confidence",
                 "[actors][cache]") {
  learn_at("What is the capital of France?", 1.0, "Paris");
  const auto asked = std::get<1>(workers_in[0].last<embed_atom, embed_request>());
  CHECK(asked.model_hash == embed_model()->description->model_hash);
  CHECK(asked.tokens ==
        embed_model()->description->words->encode("What is the capital of France?", true, false));
  const auto id = look_at("The capital of France is?", 0.97);
  REQUIRE(hit(id));
  const auto [what, text] = *hit(id);
  CHECK(text == "Paris");
  CHECK(what.cache.tier == "similarity");
  CHECK(*what.cache.similarity == Approx(0.97).margin(0.01));
  CHECK(*what.cache.confidence > 0.5);
  CHECK(*what.cache.confidence < 1);
  CHECK(metric("bitnetd_cache_lookups_total{result=\"hit\",tier=\"similarity\"}") == 1);
}

TEST_CASE_METHOD(similarity_fixture,
                 "a question below the threshold is computed, and the trace says "
                 "how near it was",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "1");
  const auto id = look_at("How can I cancel a job?", 0.85);
  REQUIRE(computes(id));
  CHECK_THAT(computed(id).trace.back().decision,
             Catch::Contains("nearest 0.85, threshold 0.900") || Catch::Contains("nearest 0.850"));
}

TEST_CASE_METHOD(similarity_fixture, "an edited threshold acts on the next lookup",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "1");
  CHECK(computes(look_at("How can I cancel a job?", 0.85)));
  config->profile.cache.threshold = 0.8;
  const auto before = maker.how.config;
  reconfigure();
  maker.how.config = before; // even for a job that came under the old one
  CHECK(answer_of(look_at("Please cancel a job", 0.86)) == "1");
}

TEST_CASE_METHOD(similarity_fixture, "a client can ask for more confidence, not for less",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "1");
  maker.what.cache.min_confidence = 0.999;
  CHECK(computes(look_at("How can I cancel a job?", 0.97)));
  maker.what.cache.min_confidence = 0.0;
  config->profile.cache.min_confidence = 0.999;
  reconfigure();
  CHECK(computes(look_at("Please cancel a job", 0.975)));
}

TEST_CASE_METHOD(similarity_fixture, "shadow counts what it would have served and serves nothing",
                 "[actors][cache]") {
  mode(conf::cache_mode::shadow);
  learn_at("How do I cancel a job?", 1.0, "1");
  const auto id = look_at("How can I cancel a job?", 0.97);
  REQUIRE(computes(id));
  CHECK_THAT(computed(id).trace.back().decision, Catch::Contains("it would have been served"));
  CHECK(metric("bitnetd_cache_shadow_hits_total") == 1);
}

TEST_CASE_METHOD(similarity_fixture, "the similarity tier is not asked where it may not answer",
                 "[actors][cache]") {
  SECTION("exact-only") { maker.what.cache.exact_only = true; }
  SECTION("mode exact") { mode(conf::cache_mode::exact); }
  SECTION("sampled with a seed") {
    maker.how.sampling.temperature = 1;
    maker.what.params.seed = 5;
  }
  SECTION("an embedding job") { maker.what.items[0].kind = job_kind::embedding; }
  SECTION("no embedding model is served") {
    tell(aut, models_atom_v, std::make_shared<const std::vector<model_handle>>());
  }
  const auto id = look("question");
  CHECK(workers_in[0].count<embed_atom, embed_request>() == 0);
  CHECK(computes(id));
}

TEST_CASE_METHOD(similarity_fixture, "a text over 512 tokens uses the exact tier only",
                 "[actors][cache]") {
  const auto text = GENERATE(std::string(513, 'x'), std::string(100'000, 'x'));
  const auto id = look(text);
  CHECK(workers_in[0].count<embed_atom, embed_request>() == 0);
  REQUIRE(computes(id));
  CHECK_THAT(computed(id).trace.back().decision, Catch::Contains("too long"));
}

TEST_CASE_METHOD(similarity_fixture, "a vector that does not come does not hold the job up",
                 "[actors][cache]") {
  const auto id = look("question");
  CHECK_FALSE(computes(id));
  SECTION("over budget: the worker says so") {
    embed({});
    CHECK(computes(id));
  }
  SECTION("never: two seconds") {
    pass(milliseconds{1500});
    CHECK_FALSE(computes(id));
    pass(milliseconds{800});
    REQUIRE(computes(id));
    embed(at_cosine(1)); // too late: nothing happens
    CHECK(batcher_in.count<compute_atom, job>() == 1);
  }
  CHECK_THAT(computed(id).trace.back().decision, Catch::Contains("no vector in time"));
}

TEST_CASE_METHOD(similarity_fixture, "a job that waits for its vector can be cancelled",
                 "[actors][cache]") {
  const auto id = look("question");
  tell(aut, cancel_atom_v, id);
  CHECK(failed(id) == "E_CANCELLED");
  embed(at_cosine(1));
  CHECK_FALSE(computes(id));
}

TEST_CASE_METHOD(similarity_fixture, "similar questions of others stay theirs", "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "alice's");
  SECTION("tenant") { maker.what.principal = "bob"; }
  SECTION("namespace") { maker.what.cache.name_space = "x"; }
  SECTION("model") { maker.how.model = bare_model("m", 9); }
  CHECK(computes(look_at("How do I cancel a job?", 1.0)));
}

TEST_CASE_METHOD(similarity_fixture, "a question is found by similarity after a restart",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "1");
  stop();
  answers = nullptr;
  answers = std::make_shared<store::answers_db>(folder.path());
  start();
  CHECK(answer_of(look_at("Tell me how to cancel a job", 0.98)) == "1");
}

TEST_CASE_METHOD(similarity_fixture, "an expired or evicted neighbour is passed over",
                 "[actors][cache]") {
  maker.what.cache.ttl = seconds{10};
  learn_at("How do I cancel a job?", 1.0, "soon gone");
  maker.what.cache.ttl.reset();
  learn_at("Which profiles are there?", 0.0, "far away");
  pass(seconds{11});
  CHECK(computes(look_at("Tell me how to cancel a job", 0.99)));
  pass(std::chrono::hours{1}); // kept that long for those who take stale answers
  const auto stats = nlohmann::json::parse(question<std::string>(aut, stats_atom_v));
  CHECK(stats["vectors"] == 1); // the expired one is gone from the index as well
}

TEST_CASE_METHOD(similarity_fixture,
                 "a vector of a model that was replaced meanwhile is not "
                 "compared with its successor's",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "1");
  const auto id = look("Tell me how to cancel a job");
  auto other = std::make_shared<served_model>(*embed_model());
  auto description = std::make_shared<engine::model>(*embed_model()->description);
  description->model_hash.bytes[0] ^= 0xff;
  other->description = description;
  tell(aut, models_atom_v,
       std::make_shared<const std::vector<model_handle>>(std::vector<model_handle>{other}));
  embed(at_cosine(0.99)); // of the old one: compared with what the old one made
  CHECK(answer_of(id) == "1");
  CHECK(computes(look_at("cancel a job!", 0.99))); // of the new one: nothing to compare with yet
}

namespace {

/// Decides by what was measured, as shipped.
struct measured_fixture : similarity_fixture {
  measured_fixture() {
    config->profile.cache.trust = conf::cache_trust::measured;
    config->profile.cache.max_wrong = 0.05;
    mode(conf::cache_mode::on);
  }
  /// Asks again and again in other words; the answer's number is another each time with `vary`.
  void audit(int n, const std::string& answer, bool vary = false) {
    for (int i = 0; i < n; ++i)
      settle(
          look_at("How do I cancel a job" + std::string(static_cast<std::size_t>(i % 40) + 1, '!'),
                  0.97),
          vary ? answer + " " + std::to_string(i) : answer);
  }
};

} // namespace

TEST_CASE_METHOD(measured_fixture, "nothing similar is served before it was measured",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "Use bitnetctl cancel.");
  const auto id = look_at("How can I cancel a job?", 0.99);
  REQUIRE(computes(id));
  CHECK(*computed(id).cache.similarity == Approx(0.99).margin(0.01));
  settle(id, "Use bitnetctl cancel.");
  CHECK(metric("bitnetd_cache_audits_total{verdict=\"right\"}") == 1);
}

TEST_CASE_METHOD(measured_fixture, "once enough audits were right it serves, with its bound",
                 "[actors][cache]") {
  maker.what.cache.no_cache = true; // every wording is computed anew
  learn_at("How do I cancel a job?", 1.0, "Use bitnetctl cancel.");
  audit(250, "Use bitnetctl cancel.");
  maker.what.cache.no_cache = false;
  maker.what.cache.only_if_cached = true; // never audited: there is nothing to compute
  const auto id = look_at("How can I cancel a job?", 0.97);
  REQUIRE(hit(id));
  CHECK(hit(id)->second == "Use bitnetctl cancel.");
  CHECK(*hit(id)->first.cache.wrong_bound <= 0.05);
  CHECK(*hit(id)->first.cache.confidence > 0.5);
}

TEST_CASE_METHOD(measured_fixture, "what was measured is not lost with a restart",
                 "[actors][cache]") {
  maker.what.cache.no_cache = true;
  learn_at("How do I cancel a job?", 1.0, "Use bitnetctl cancel.");
  audit(250, "Use bitnetctl cancel.");
  pass(seconds{6}); // it is stored now and then
  restart();
  maker.what.cache.no_cache = false;
  maker.what.cache.only_if_cached = true;
  const auto id = look_at("How can I cancel a job?", 0.97);
  REQUIRE(hit(id));
  CHECK(hit(id)->second == "Use bitnetctl cancel.");
  CHECK(*hit(id)->first.cache.wrong_bound <= 0.05);
  // Another principal has learned nothing by that.
  maker.what.principal = "bob";
  CHECK_FALSE(hit(look_at("How can I cancel a job?", 0.97)));
}

TEST_CASE_METHOD(measured_fixture, "what audits find wrong is not served, however similar",
                 "[actors][cache]") {
  maker.what.cache.no_cache = true;
  learn_at("How do I cancel a job?", 1.0, "Use bitnetctl cancel.");
  audit(250, "Press the red button, then number", true);
  maker.what.cache.no_cache = false;
  CHECK(computes(look_at("How can I cancel a job?", 0.97)));
  CHECK(metric("bitnetd_cache_audits_total{verdict=\"wrong\"}") > 0);
}

TEST_CASE_METHOD(similarity_fixture, "a near miss is held back by the guard that saw it",
                 "[actors][cache]") {
  learn_at("What happens after 5 minutes?", 1.0, "five");
  maker.what.cache.explain = true;
  const auto id = look_at("What happens after 6 minutes?", 0.999);
  REQUIRE(computes(id));
  CHECK(computed(id).cache.veto == "numbers: 6 against 5");
  CHECK(metric("bitnetd_cache_vetoes_total{guard=\"numbers\"}") == 1);
  const auto explained = nlohmann::json::parse(computed(id).cache.explanation);
  REQUIRE(explained.size() == 1);
  CHECK(explained[0]["prompt"] == "What happens after 5 minutes?");
  CHECK(explained[0]["veto"] == "numbers: 6 against 5");
}

TEST_CASE_METHOD(similarity_fixture, "a farther neighbour answers where a guard holds the nearest",
                 "[actors][cache]") {
  learn_at("What happens after 5 minutes?", 0.999, "five");
  learn_at("What happens after 6 minutes?", 0.96, "six");
  CHECK(answer_of(look_at("And what happens after 6 minutes?", 1.0)) == "six");
}

TEST_CASE_METHOD(similarity_fixture,
                 "a hit that is reported as wrong is gone, for others' it is "
                 "told alike as for none",
                 "[actors][cache]") {
  learn_at("How do I cancel a job?", 1.0, "wrong answer");
  const auto id = look_at("How can I cancel a job?", 0.97);
  REQUIRE(hit(id));
  admin_request said;
  said.reply_to.tag = "1";
  said.principal = "bob";
  said.cache.what = cache_order::action::report;
  said.cache.entry = hit(id)->first.cache.entry;
  tell(aut, admin_atom_v, said);
  CHECK(answer_of(look_at("Please cancel a job", 0.97)) == "wrong answer");
  said.reply_to.tag = "2";
  said.principal = "alice";
  tell(aut, admin_atom_v, said);
  CHECK(computes(look_at("Tell me how to cancel a job", 0.97)));
  CHECK_FALSE(answers->get(said.cache.entry));
  const auto replies = outbox.all<reply>();
  REQUIRE(replies.size() == 2);
  CHECK(std::holds_alternative<reply_error>(std::get<0>(replies[0]).what));
  CHECK(std::holds_alternative<reply_document>(std::get<0>(replies[1]).what));
}

TEST_CASE_METHOD(similarity_fixture, "without an embedding model words alone are compared",
                 "[actors][cache]") {
  tell(aut, models_atom_v, std::make_shared<const std::vector<model_handle>>());
  settle(look("How do I cancel a job?"), "Use bitnetctl cancel.");
  const auto id = look("how do I cancel a job");
  CHECK(workers_in[0].count<embed_atom, embed_request>() == 0);
  CHECK(answer_of(id) == "Use bitnetctl cancel.");
  CHECK(computes(look("How do I cancel the drain?")));
}

TEST_CASE_METHOD(similarity_fixture, "no entry is found from another partition, in a million pairs",
                 "[actors][cache]") {
  similarity_tier tier;
  const auto vector = *store::quantize(std::vector<float>(64, 1.0f)); // all alike: only keys differ
  const auto name = [](std::uint64_t i) { return hash_bytes("partition " + std::to_string(i)); };
  for (std::uint64_t i = 1; i <= 1500; ++i)
    tier.add(name(i % 100), name(1000 + i % 7), i, vector);
  const std::vector<float> query(64, 1.0f);
  std::size_t found = 0;
  for (std::uint64_t p = 0; p < 100; ++p)
    for (std::uint64_t e = 0; e < 7; ++e)
      for (const auto& one : tier.nearest(name(p), name(1000 + e), query, 1500)) {
        ++found;
        REQUIRE(one.entry % 100 == p);
        REQUIRE(one.entry % 7 == e);
      }
  CHECK(found == 1500); // 100 partitions, 7 embedders: every entry from its own only
}
