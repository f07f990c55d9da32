// SPDX-License-Identifier: MIT
#include "tests/actors/cache_fixture.h"

#include <catch2/catch.hpp>

#include <random>
#include <set>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

TEST_CASE_METHOD(cache_fixture, "what was computed once is answered from then on",
                 "[actors][cache]") {
  const auto first = look("question");
  REQUIRE(computes(first));
  CHECK(computed(first).cache.status == cache_status::miss);
  settle(first, "the answer");
  pass(seconds{5});
  const auto again = look("question");
  CHECK_FALSE(computes(again));
  REQUIRE(hit(again));
  const auto [what, text] = *hit(again);
  CHECK(text == "the answer");
  CHECK(what.cache.status == cache_status::hit);
  CHECK(what.cache.tier == "exact");
  CHECK(what.cache.age_s == 5);
  CHECK(*what.cache.ttl_s <= 24 * 3600 - 5); // up to a tenth earlier, each at another time
  CHECK(*what.cache.ttl_s >= 24 * 3600 * 9 / 10 - 6);
  CHECK(what.cache.saved_ms == 40);
  CHECK(what.cache.entry > 0);
  CHECK(what.trace.back().phase == "cache");
  CHECK(metric("bitnetd_cache_lookups_total{result=\"hit\",tier=\"exact\"}") == 1);
}

TEST_CASE_METHOD(cache_fixture, "a job whose client asked for no trace has none",
                 "[actors][cache]") {
  maker.what.trace = false;
  const auto first = look("question");
  CHECK(computed(first).trace.empty());
  settle(first, "the answer");
  const auto again = hit(look("question"));
  REQUIRE(again);
  CHECK(std::get<0>(*again).trace.empty());
}

TEST_CASE_METHOD(cache_fixture, "an answer survives a restart of the daemon", "[actors][cache]") {
  learn("question", "the answer");
  stop();
  answers = nullptr;
  answers = std::make_shared<store::answers_db>(folder.path());
  start();
  CHECK(answer_of(look("question")) == "the answer");
}

TEST_CASE_METHOD(cache_fixture, "a probe asks the exact tier only and gives a miss back",
                 "[actors][cache]") {
  auto what = make("question");
  tell(aut, probe_atom_v, what);
  CHECK(std::get<1>(ledger_in.last<missed_atom, job>()).id == what.id);
  CHECK(std::get<1>(ledger_in.last<missed_atom, job>()).trace.empty());
  learn("question", "the answer");
  what = make("question");
  tell(aut, probe_atom_v, what);
  CHECK(answer_of(what.id) == "the answer");
  CHECK(ledger_in.count<missed_atom, job>() == 1);
}

TEST_CASE_METHOD(cache_fixture,
                 "a probe of a job that the ledger has not heard of hands a miss to it",
                 "[actors][cache]") {
  auto what = make("question");
  what.unlisted = true;
  tell(aut, probe_atom_v, what);
  CHECK(ledger_in.count<missed_atom, job>() == 0);
  const auto listed = std::get<1>(ledger_in.last<admit_atom, std::vector<job>>());
  REQUIRE(listed.size() == 1);
  CHECK(listed.front().id == what.id);
  CHECK_FALSE(listed.front().unlisted);
  learn("question", "the answer");
  what = make("question");
  what.unlisted = true;
  tell(aut, probe_atom_v, what);
  REQUIRE(hit(what.id));
  CHECK(hit(what.id)->first.unlisted);
  CHECK(ledger_in.count<admit_atom, std::vector<job>>() == 1);
}

TEST_CASE_METHOD(cache_fixture, "hits are told to the store together, once a tick",
                 "[actors][cache]") {
  learn("question", "the answer");
  learn("other", "another");
  const auto entry_of = [&](const job_id& id) { return hit(id)->first.cache.entry; };
  const auto question = entry_of(look("question")), other = entry_of(look("other"));
  (void)look("question");
  (void)look("question");
  CHECK(answers->get(question)->hits == 0); // one message for all, and not yet
  pass(seconds{1});
  CHECK(answers->get(question)->hits == 3);
  CHECK(answers->get(question)->last_used_us > 0);
  CHECK(answers->get(other)->hits == 1);
  pass(seconds{1});
  CHECK(answers->get(question)->hits == 3);
}

TEST_CASE_METHOD(cache_fixture, "what failed a check, or ended without an answer, is not kept",
                 "[actors][cache]") {
  settle(look("question"), "bad", /*keep=*/false);
  CHECK(computes(look("question")));
  settle_without(look("other"));
  CHECK(computes(look("other")));
  CHECK(answers->totals().entries == 0);
}

TEST_CASE_METHOD(cache_fixture, "with the cache off a job goes straight on, and says why",
                 "[actors][cache]") {
  learn("question", "the answer");
  std::string reason;
  SECTION("mode off") {
    mode(conf::cache_mode::off);
    reason = "the cache is off in profile balanced";
  }
  SECTION("phase off") {
    config->profile.phases.cache = false;
    reconfigure();
    reason = "the cache is off in profile balanced";
  }
  SECTION("asked by the client") {
    maker.what.cache.no_store = maker.what.cache.no_cache = true;
    reason = "no-store and no-cache were asked";
  }
  const auto id = look("question");
  REQUIRE(computes(id));
  CHECK(computed(id).cache.status == cache_status::bypass);
  CHECK(computed(id).cache.reason == reason);
  CHECK(computed(id).trace.back().decision == "bypassed: " + reason);
  CHECK(metric("bitnetd_phase_total{phase=\"cache\",skipped=\"true\"}") == 1);
}

TEST_CASE_METHOD(cache_fixture, "without a store every job is computed", "[actors][cache]") {
  stop();
  answers = nullptr;
  start();
  settle(look("question"), "the answer");
  const auto id = look("question");
  REQUIRE(computes(id));
  CHECK(computed(id).cache.reason == "the cache's store could not be opened");
}

TEST_CASE_METHOD(cache_fixture, "no-store leaves nothing behind", "[actors][cache]") {
  maker.what.cache.no_store = true;
  learn("question", "secret");
  maker.what.cache.no_store = false;
  CHECK(computes(look("question")));
  CHECK(answers->totals().entries == 0);
}

TEST_CASE_METHOD(cache_fixture,
                 "no-cache computes anew and what comes of it takes the old one's "
                 "place",
                 "[actors][cache]") {
  learn("question", "old");
  maker.what.cache.no_cache = true;
  const auto id = look("question");
  REQUIRE(computes(id));
  settle(id, "new");
  maker.what.cache.no_cache = false;
  CHECK(answer_of(look("question")) == "new");
  CHECK(answers->totals().entries == 1);
}

TEST_CASE_METHOD(cache_fixture, "only-if-cached never computes", "[actors][cache]") {
  maker.what.cache.only_if_cached = true;
  const auto missing = look("question");
  CHECK_FALSE(computes(missing));
  CHECK(failed(missing) == "E_NOT_CACHED");
  maker.what.cache.only_if_cached = false;
  learn("question", "the answer");
  maker.what.cache.only_if_cached = true;
  CHECK(answer_of(look("question")) == "the answer");
  mode(conf::cache_mode::off);
  const auto bypassed = look("question");
  CHECK(failed(bypassed) == "E_NOT_CACHED");
  CHECK_FALSE(computes(bypassed));
}

TEST_CASE_METHOD(cache_fixture, "an entry is not served to another tenant, namespace or model",
                 "[actors][cache]") {
  learn("question", "alice's");
  SECTION("tenant") { maker.what.principal = "bob"; }
  SECTION("namespace") { maker.what.cache.name_space = "x"; }
  SECTION("model") { maker.how.model = bare_model("m", 2); }
  SECTION("stop strings") { maker.what.params.stop = {"\n"}; }
  SECTION("end of text ignored") { maker.what.params.ignore_eos = true; }
  SECTION("kind") { maker.what.items[0].kind = job_kind::embedding; }
  SECTION("penalty") { maker.how.sampling.repetition_penalty = 1.5f; }
  SECTION("one byte") {
    CHECK(computes(look("question ")));
    return;
  }
  CHECK(computes(look("question")));
}

TEST_CASE_METHOD(cache_fixture,
                 "random tenants, namespaces and models never see each other's answers",
                 "[actors][cache]") {
  std::mt19937 random{11};
  const std::vector<model_handle> models{bare_model("a", 1), bare_model("b", 2),
                                         bare_model("c", 3)};
  std::map<std::string, std::string> truth; // who, where, what -> the answer that is his
  std::size_t hits = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto tenant = "t" + std::to_string(random() % 5);
    const auto space = "n" + std::to_string(random() % 4);
    const auto which = random() % models.size();
    const auto text = "q" + std::to_string(random() % 12);
    maker.what.principal = tenant;
    maker.what.cache.name_space = space;
    maker.how.model = models[which];
    const auto owner = tenant + "/" + space + "/" + std::to_string(which) + "/" + text;
    responder_in.forget();
    batcher_in.forget();
    const auto id = look(text);
    if (const auto known = truth.find(owner); known != truth.end()) {
      CHECK(answer_of(id) == known->second);
      ++hits;
      continue;
    }
    REQUIRE(computes(id));
    settle(id, truth[owner] = "answer " + std::to_string(i));
  }
  CHECK(truth.size() == 5 * 4 * 3 * 12);
  CHECK(hits == 10'000 - truth.size());
}

TEST_CASE_METHOD(cache_fixture, "an entry has a life, a client may ask for a shorter one",
                 "[actors][cache]") {
  config->profile.cache.ttl = seconds{100};
  reconfigure();
  SECTION("the profile's") {
    learn("question", "the answer");
    pass(seconds{99});
    CHECK(answer_of(look("question")) == "the answer");
    pass(seconds{2});
    CHECK(computes(look("question")));
    pass(std::chrono::hours{1}); // kept that long for those who take stale answers
    CHECK(answers->totals().entries == 0);
  }
  SECTION("the client's ttl, never longer than the profile's") {
    maker.what.cache.ttl = seconds{10};
    learn("short", "x");
    maker.what.cache.ttl = seconds{1000};
    learn("long", "y");
    maker.what.cache.ttl.reset();
    pass(seconds{11});
    CHECK(computes(look("short")));
    CHECK(answer_of(look("long")) == "y");
    pass(seconds{90});
    CHECK(computes(look("long")));
  }
  SECTION("max-age") {
    learn("question", "the answer");
    pass(seconds{20});
    maker.what.cache.max_age = seconds{10};
    CHECK(computes(look("question")));
    maker.what.cache.max_age = seconds{30};
    CHECK(answer_of(look("question")) == "the answer");
  }
  SECTION("a profile that is edited acts at once") {
    config->profile.cache.ttl = seconds{5};
    const auto before = maker.how.config;
    reconfigure();
    maker.how.config = before; // the job came before the edit
    learn("question", "the answer");
    pass(seconds{6});
    CHECK(computes(look("question")));
  }
}

TEST_CASE_METHOD(cache_fixture, "an answer fits only where its length fits", "[actors][cache]") {
  maker.how.max_new_tokens = 32;
  settle(look("stopped"), "short", true, "stop", 10);
  settle(look("cut"), "cut off", true, "length", 32);
  maker.how.max_new_tokens = 8;
  CHECK(computes(look("stopped"))); // 10 tokens where 8 are allowed
  CHECK(computes(look("cut")));
  maker.how.max_new_tokens = 64;
  CHECK(answer_of(look("stopped")) == "short");
  CHECK(computes(look("cut"))); // it would go on here
}

TEST_CASE_METHOD(cache_fixture, "sampled answers are kept by seed, and without one only on request",
                 "[actors][cache]") {
  maker.how.sampling.temperature = 1;
  maker.how.sampling.seed = 7;
  SECTION("with a seed") {
    maker.what.params.seed = 7;
    learn("question", "drawn with 7");
    CHECK(answer_of(look("question")) == "drawn with 7");
    maker.what.params.seed = maker.how.sampling.seed = 8;
    CHECK(computes(look("question")));
  }
  SECTION("without") {
    const auto id = look("question");
    REQUIRE(computes(id));
    CHECK(computed(id).cache.status == cache_status::bypass);
    settle(id, "a draw");
    CHECK(computes(look("question")));
    maker.what.cache.allow_sampled = true;
    const auto allowed = look("question");
    REQUIRE(computes(allowed));
    settle(allowed, "another draw");
    maker.how.sampling.seed = 99; // chosen anew each time
    CHECK(answer_of(look("question")) == "another draw");
    maker.what.cache.allow_sampled = false;
    CHECK(computes(look("question")));
  }
}

TEST_CASE_METHOD(cache_fixture,
                 "the store stays within its bytes and the cache hears of what is gone",
                 "[actors][cache]") {
  config->cache.max_bytes = 200'000;
  reconfigure();
  for (int i = 0; i < 100; ++i)
    learn("question " + std::to_string(i), std::string(5000, 'x'));
  pass(seconds{1});
  CHECK(answers->totals().bytes <= 200'000);
  const auto left = answers->totals().entries;
  CHECK(left > 10);
  std::size_t found = 0;
  for (int i = 0; i < 100; ++i)
    found += hit(look("question " + std::to_string(i))).has_value();
  CHECK(found == left);
}

TEST_CASE_METHOD(cache_fixture,
                 "an answer that is too large for the store does not cost the others",
                 "[actors][cache]") {
  const auto small = make("small"), huge = make(std::string(80u << 20, 'q'));
  look(small);
  look(huge);
  auto found = std::make_shared<answer>();
  found->text = "x";
  found->finish = "stop";
  caf::anon_send(aut, settled_atom_v, huge.id, answer_ptr{found}, true);
  caf::anon_send(aut, settled_atom_v, small.id, answer_ptr{found}, true);
  run.run(); // both entries reach the store in one write
  CHECK(answers->totals().entries == 1);
  CHECK(answer_of(look("small")) == "x");
}

TEST_CASE_METHOD(cache_fixture, "what speaks of now is kept for minutes only", "[actors][cache]") {
  learn("What is the weather today?", "sunny");
  learn("What is a cloud?", "water");
  pass(seconds{299});
  CHECK(answer_of(look("What is the weather today?")) == "sunny");
  pass(seconds{2});
  CHECK(computes(look("What is the weather today?")));
  CHECK(answer_of(look("What is a cloud?")) == "water");
}

TEST_CASE_METHOD(cache_fixture, "what was made together does not expire together",
                 "[actors][cache]") {
  std::set<std::int64_t> lives;
  for (int i = 0; i < 20; ++i) {
    const auto text = "question " + std::to_string(i);
    learn(text, "x");
    lives.insert(*hit(look(text))->first.cache.ttl_s);
  }
  CHECK(lives.size() > 10);
  CHECK(*lives.begin() >= 24 * 3600 * 9 / 10 - 1);
  CHECK(*lives.rbegin() <= 24 * 3600);
}

TEST_CASE_METHOD(cache_fixture, "a full cache keeps what is asked again, not what is asked once",
                 "[actors][cache]") {
  config->cache.max_bytes = 64 << 10;
  reconfigure();
  int number = 0;
  while (answers->totals().bytes < (64 << 10) * 85 / 100)
    learn("question " + std::to_string(++number), std::string(500, 'x'));
  const auto entries = answers->totals().entries;
  const auto once = look("asked for the first time");
  CHECK(computed(once).cache.no_room);
  settle(once, "not kept");
  CHECK(answers->totals().entries == entries);
  const auto twice = look("asked for the first time");
  REQUIRE(computes(twice));
  CHECK_FALSE(computed(twice).cache.no_room);
  settle(twice, "kept");
  CHECK(answer_of(look("asked for the first time")) == "kept");
}

TEST_CASE_METHOD(cache_fixture, "one principal cannot push out another's answers",
                 "[actors][cache]") {
  config->cache.max_bytes = 128 << 10;
  reconfigure();
  maker.what.principal = "quiet";
  for (int i = 0; i < 10; ++i)
    learn("quiet question " + std::to_string(i), std::string(500, 'q'));
  maker.what.principal = "loud";
  for (int i = 0; i < 400; ++i) {
    const auto text = "loud question " + std::to_string(i);
    settle(look(text), std::string(500, 'l'));
    settle(look(text), std::string(500, 'l')); // admitted by being asked twice
    pass(std::chrono::milliseconds{100});
  }
  pass(seconds{1});
  CHECK(answers->totals().bytes <= 128 << 10);
  CHECK(answers->totals().entries < 300); // the loud one has lost some
  responder_in.forget();                  // numbers of jobs have come round
  batcher_in.forget();
  maker.what.principal = "quiet";
  for (int i = 0; i < 10; ++i)
    CHECK(answer_of(look("quiet question " + std::to_string(i))) == std::string(500, 'q'));
}
