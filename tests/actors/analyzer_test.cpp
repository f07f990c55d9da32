// SPDX-License-Identifier: MIT
#include "actors/analyzer.h"
#include "tests/actors/actor_fixture.h"
#include "tests/actors/request_maker.h"
#include "tests/actors/tiny_models.h"

#include <catch2/catch.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// An analyzer that serves two real models: contexts of 512 tokens, one byte a token.
struct analyzer_fixture : actor_fixture {
  analyzer_actor aut;
  std::shared_ptr<conf::config> config = std::make_shared<conf::config>();

  analyzer_fixture() {
    aut = spawned(system.spawn(analyzer, time, counters, store::job_id_source{job_id{}}));
    auto all = neighbours();
    all.analyzer = aut;
    reconfigure();
    tell(aut, connect_atom_v, std::make_shared<const peers>(all));
    tell(aut, models_atom_v, both_models());
  }
  void reconfigure() { tell(aut, configure_atom_v, std::make_shared<const conf::config>(*config)); }
  /// A machine on which a step takes 1 ms and 1 ms for every row.
  void measure() {
    auto curve = std::make_shared<cost_curve>();
    for (const std::uint32_t n : {1u, 2u, 4u, 8u})
      curve->points.push_back({n, 0, 0, 1.0 + n});
    for (const std::uint32_t n : {16u, 64u, 256u})
      curve->points.push_back({0, n, 0, 1.0 + n});
    tell(aut, cost_atom_v, chat_model()->description->model_hash, cost_curve_ptr{curve});
  }
  void submit(const request_maker& what, const std::string& tag = "r") {
    const auto before = n_probed();
    tell(aut, submit_atom_v, what.make(tag, *time));
    probed_ = n_probed() > before;
  }
  /// Jobs that ask the cache before the ledger hears of them.
  [[nodiscard]] std::size_t n_probed() const { return cache_in.count<probe_atom, job>(); }
  /// The jobs that were handed on last.
  [[nodiscard]] std::vector<job> admitted() const {
    return probed_ ? std::vector{std::get<1>(cache_in.last<probe_atom, job>())}
                   : std::get<1>(ledger_in.last<admit_atom, std::vector<job>>());
  }
  [[nodiscard]] std::size_t n_admitted() const {
    return ledger_in.count<admit_atom, std::vector<job>>() + n_probed();
  }
  /// The one job of a request that is accepted.
  job accept(const request_maker& what) {
    submit(what);
    REQUIRE(n_admitted() > 0);
    return admitted().front();
  }
  /// The refusal of a request; nothing of it goes on.
  failure refuse(const request_maker& what) {
    const auto before = n_admitted();
    const auto tag = "refused " + std::to_string(++n_refused_);
    submit(what, tag);
    CHECK(n_admitted() == before);
    const auto said = told(tag);
    REQUIRE(said.error());
    CHECK(said.released_jobs == what.what.items.size());
    CHECK(said.released_bytes == body_of(what.what).size());
    return said.error()->why;
  }

private:
  int n_refused_ = 0;
  bool probed_ = false; ///< what was handed on last
};

request_maker embedding_of(const std::string& text) {
  request_maker out{text};
  out.what.items[0].kind = job_kind::embedding;
  return out;
}

request_maker chat_of(const std::string& text) {
  request_maker out{""};
  out.what.items[0].kind = job_kind::chat;
  out.what.items[0].messages = {{"system", "Be brief."}, {"user", text}};
  return out;
}

} // namespace

TEST_CASE_METHOD(analyzer_fixture,
                 "only what nobody else can ask for asks the cache before the ledger",
                 "[actors][analyzer]") {
  request_maker what{"hello there"};
  submit(what);
  REQUIRE(n_probed() == 1);
  CHECK(std::get<1>(cache_in.last<probe_atom, job>()).unlisted);
  CHECK(ledger_in.count<admit_atom, std::vector<job>>() == 0);
  SECTION("durable") { what.what.durable = true; }
  SECTION("with a key") { what.what.key = "key"; }
  SECTION("streamed") { what.what.mode = reply_mode::stream; }
  SECTION("asked for later") { what.what.mode = reply_mode::job; }
  SECTION("a batch") { what = request_maker::batch({"hello", "there"}); }
  submit(what);
  CHECK(n_probed() == 1);
  const auto listed = std::get<1>(ledger_in.last<admit_atom, std::vector<job>>());
  CHECK_FALSE(listed.front().unlisted);
  CHECK_FALSE(listed.back().unlisted);
}

TEST_CASE_METHOD(analyzer_fixture, "a prompt gets its tokens, class, cost and strategy",
                 "[actors][analyzer]") {
  measure();
  auto what = request_maker{"hello there"};
  what.what.params.max_tokens = 20;
  const auto found = accept(what);
  const auto& how = *found.how;
  CHECK(how.model == chat_model());
  CHECK(how.tokens == chat_model()->description->words->encode("hello there", true, false));
  CHECK(how.max_new_tokens == 20);
  CHECK(how.cls == job_class::interactive);
  CHECK(how.plan == strategy::direct);
  CHECK(how.cache_text == "hello there");
  CHECK(how.prompt_bytes == 11);
  CHECK(how.kv_bytes == chat_model()->description->kv_bytes_per_token(engine::kv_type::f16) * 32);
  CHECK(how.operations > 0);
  // One prefill step of 11 rows, then 20 decode steps of one row: 12 + 20 * 2 ms.
  CHECK(how.predicted_ms == Approx(52).epsilon(0.15));
  CHECK(found.eta_ms == Approx(how.predicted_ms));
  REQUIRE(found.trace.size() == 1);
  CHECK(found.trace[0].phase == "analysis");
  CHECK_THAT(found.trace[0].decision, Catch::Contains("11 tokens"));
}

TEST_CASE_METHOD(analyzer_fixture, "operations are those of the published forward pass",
                 "[actors][analyzer]") {
  // 2 layers of width 256, 4 heads of 64, 2 for keys, 512 in the middle; vocabulary 260.
  const double projections = 256.0 * 256 * 2 + 256.0 * 128 * 2 + 3 * 256.0 * 512;
  const double attention = 2 * 256.0 * (1 + 2 + 3); // scores and values, 3 tokens in a row
  const double head = 260.0 * 256;
  CHECK(count_operations(chat_model()->description->shape, 2, 1) ==
        Approx(2 * (2 * (3 * projections + attention) + head)));
}

TEST_CASE_METHOD(analyzer_fixture, "what waits before it is part of a job's predicted end",
                 "[actors][analyzer]") {
  measure();
  tell(aut, load_atom_v, 1000.0);
  const auto found = accept(request_maker{"hello"});
  CHECK(found.eta_ms == Approx(1000 + found.how->predicted_ms));
}

TEST_CASE_METHOD(analyzer_fixture, "a model is chosen by name, else by kind",
                 "[actors][analyzer]") {
  CHECK(accept(request_maker{"x"}).how->model == chat_model());
  CHECK(accept(embedding_of("x")).how->model == embed_model());
  CHECK(accept(embedding_of("x")).how->plan == strategy::embedding_only);
  CHECK(accept(embedding_of("x")).how->max_new_tokens == 0);

  auto unknown = request_maker{"x"};
  unknown.what.model = "gpt";
  auto why = refuse(unknown);
  CHECK(why.name == "E_MODEL");
  CHECK_THAT(why.message, Catch::Contains("\"gpt\"") && Catch::Contains("chat"));
  auto wrong = request_maker{"x"};
  wrong.what.model = "embed";
  CHECK(refuse(wrong).name == "E_MODEL");
  auto other = embedding_of("x");
  other.what.model = "chat";
  CHECK(refuse(other).name == "E_MODEL");
  tell(aut, models_atom_v, std::make_shared<const std::vector<model_handle>>());
  CHECK(refuse(request_maker{"x"}).name == "E_MODEL");
}

TEST_CASE_METHOD(analyzer_fixture, "a chat is rendered by the model's template",
                 "[actors][analyzer]") {
  const auto what = chat_of("hello");
  const auto found = accept(what);
  CHECK(found.how->tokens == chat_model()->description->dialogue->encode(
                                 *chat_model()->description->words, what.what.items[0].messages));
  CHECK(found.how->cache_text == "hello");
}

TEST_CASE_METHOD(analyzer_fixture, "a prompt without tokens is refused", "[actors][analyzer]") {
  const auto why = refuse(request_maker{""});
  CHECK(why.name == "E_FIELD");
  CHECK(why.field == "prompt");
}

TEST_CASE_METHOD(analyzer_fixture,
                 "an explicit max_tokens that exceeds the context is refused, the "
                 "default is clipped",
                 "[actors][analyzer]") {
  auto what = request_maker{std::string(500, 'x')};
  what.what.params.max_tokens = 13;
  auto why = refuse(what);
  CHECK(why.name == "E_CTX");
  CHECK(why.limit == 512);
  CHECK_THAT(why.message, Catch::Contains("at most 12"));
  what.what.params.max_tokens = 12;
  CHECK(accept(what).how->max_new_tokens == 12);
  what.what.params.max_tokens.reset();
  CHECK(accept(what).how->max_new_tokens == 12);
  CHECK(refuse(request_maker{std::string(512, 'x')}).name == "E_CTX"); // no room for an answer
  CHECK(accept(embedding_of(std::string(512, 'x'))).how->tokens.size() == 512);
  CHECK(refuse(embedding_of(std::string(513, 'x'))).name == "E_CTX");
}

TEST_CASE_METHOD(analyzer_fixture, "a job that needs more KV memory than a worker has is refused",
                 "[actors][analyzer]") {
  const auto per_page = chat_model()->description->kv_bytes_per_token(engine::kv_type::f16) * 32;
  config->hardware.kv_bytes = 2 * per_page; // 64 tokens
  reconfigure();
  auto what = request_maker{std::string(60, 'x')};
  what.what.params.max_tokens = 4;
  CHECK(accept(what).how->kv_bytes == 2 * per_page);
  what.what.params.max_tokens = 5;
  const auto why = refuse(what);
  CHECK(why.name == "E_CTX");
  CHECK(why.limit == 64);
}

TEST_CASE_METHOD(analyzer_fixture, "a biased token outside the vocabulary is refused",
                 "[actors][analyzer]") {
  auto what = request_maker{"x"};
  what.what.params.logit_bias = {{259, 1.0}};
  CHECK(accept(what).how->sampling.logit_bias.size() == 1);
  what.what.params.logit_bias = {{260, 1.0}};
  CHECK(refuse(what).field == "params.logit_bias");
}

TEST_CASE_METHOD(analyzer_fixture, "a deadline that even an idle machine cannot meet is refused",
                 "[actors][analyzer]") {
  measure();
  auto what = request_maker{std::string(300, 'x')}; // 303 ms of prefill
  what.what.deadline = milliseconds{200};
  const auto why = refuse(what);
  CHECK(why.name == "E_DEADLINE");
  CHECK_THAT(why.message, Catch::Contains("200 ms"));
  what.what.deadline = milliseconds{2000};
  CHECK(accept(what).how->deadline == time->mono() + milliseconds{2000});
}

TEST_CASE_METHOD(analyzer_fixture, "a draining daemon takes no new jobs", "[actors][analyzer]") {
  tell(aut, drain_atom_v, true);
  CHECK(refuse(request_maker{"x"}).name == "E_DRAINING");
  tell(aut, recover_atom_v, request_maker{"x"}.make("", *time), job_id{}, 2u);
  CHECK(ledger_in.count<recovered_atom, job>() == 1); // what was accepted still runs
  tell(aut, drain_atom_v, false);
  (void)accept(request_maker{"x"});
}

TEST_CASE_METHOD(analyzer_fixture, "the class is the client's, else by mode",
                 "[actors][analyzer]") {
  CHECK(accept(request_maker{"x", reply_mode::sync}).how->cls == job_class::interactive);
  CHECK(accept(request_maker{"x", reply_mode::job}).how->cls == job_class::normal);
  submit(request_maker::batch({"a", "b"}));
  CHECK(admitted()[1].how->cls == job_class::batch);
  auto what = request_maker{"x", reply_mode::sync};
  what.what.wanted_class = job_class::background;
  const auto found = accept(what);
  CHECK(found.how->cls == job_class::background);
  CHECK(found.how->plan == strategy::background_fill);
}

TEST_CASE_METHOD(analyzer_fixture, "a prompt over the profile's chunk is prefilled in chunks",
                 "[actors][analyzer]") {
  config->profile.chunk.prefill_tokens = 50;
  reconfigure();
  CHECK(accept(request_maker{std::string(50, 'x')}).how->plan == strategy::direct);
  CHECK(accept(request_maker{std::string(51, 'x')}).how->plan == strategy::chunked_prefill);
}

TEST_CASE_METHOD(analyzer_fixture,
                 "sampling is the request's, else the profile's, and the seed is "
                 "told",
                 "[actors][analyzer]") {
  config->profile.sampling.temperature = 0.5;
  config->profile.sampling.top_k = 7;
  config->profile.sampling.quality_retries = 3;
  reconfigure();
  auto what = request_maker{"x"};
  auto how = *accept(what).how;
  CHECK(how.sampling.temperature == 0.5f);
  CHECK(how.sampling.top_k == 7);
  CHECK(how.quality_retries == 3);
  const auto drawn = how.sampling.seed;
  CHECK(accept(what).how->sampling.seed != drawn); // anew each time
  what.what.params.seed = 42;
  what.what.params.temperature = 0.9;
  what.what.quality_retries = 0;
  how = *accept(what).how;
  CHECK(how.sampling.seed == 42);
  CHECK(how.sampling.temperature == 0.9f);
  CHECK(how.quality_retries == 0);
}

TEST_CASE_METHOD(analyzer_fixture, "with analysis off only what correctness needs is done",
                 "[actors][analyzer]") {
  measure();
  config->profile.phases.analysis = false;
  reconfigure();
  auto what = request_maker{std::string(300, 'x')};
  what.what.deadline = milliseconds{200}; // could not be met; nobody looks
  const auto found = accept(what);
  CHECK(found.how->predicted_ms == 0);
  CHECK(found.how->plan_reason == "analysis is off");
  CHECK_THAT(found.trace[0].decision, Catch::StartsWith("analysis is off"));
  CHECK(metric("bitnetd_phase_total{phase=\"analysis\",skipped=\"true\"}") == 1);
  CHECK(refuse(request_maker{std::string(600, 'x')}).name == "E_CTX");
}

TEST_CASE_METHOD(analyzer_fixture, "one bad item of a batch does not cost the others",
                 "[actors][analyzer]") {
  submit(request_maker::batch({"good", std::string(600, 'x'), "also good"}));
  const auto all = admitted();
  REQUIRE(all.size() == 4);
  CHECK(all[0].is_parent);
  for (std::uint32_t i = 1; i < 4; ++i) {
    CHECK(all[i].parent == all[0].id);
    CHECK(all[i].index == i - 1);
    CHECK(all[i - 1].id < all[i].id);
  }
  CHECK_FALSE(all[1].refused);
  REQUIRE(all[2].refused);
  CHECK(all[2].refused->name == "E_CTX");
  CHECK_FALSE(all[3].refused);
  CHECK_THAT(all[0].trace[0].decision, Catch::Contains("3 items, 1 refused"));
  // Nothing of it can run: refused as a whole, all of it released.
  CHECK(refuse(request_maker::batch({std::string(600, 'x'), std::string(600, 'y')})).name ==
        "E_CTX");
}

TEST_CASE_METHOD(analyzer_fixture, "items of one template are seen as alike and run together",
                 "[actors][analyzer]") {
  std::vector<std::string> texts;
  for (int i = 0; i < 5; ++i)
    texts.push_back("Translate the following sentence into French: \"sentence " +
                    std::to_string(i) + "\"");
  texts.push_back("zzz");
  submit(request_maker::batch(texts));
  const auto all = admitted();
  CHECK(all[1].how->plan == strategy::grouped_batch);
  CHECK(all[1].how->similarity > 0.5);
  CHECK(all[1].how->skeleton == all[2].how->skeleton);
  CHECK(all[6].how->plan == strategy::direct);
  CHECK(all[6].how->similarity < 0.2);
}

TEST_CASE_METHOD(analyzer_fixture,
                 "a repeated prompt is not tokenized again, and another template is "
                 "another prompt",
                 "[actors][analyzer]") {
  // Byte-pair merging of so long a text takes a while; remembering it does not. The state of the
  // memo is what proves it.
  auto& state = dynamic_cast<caf::stateful_actor<analyzer_state, analyzer_actor::base>&>(
                    *caf::actor_cast<caf::abstract_actor*>(aut))
                    .state;
  (void)accept(request_maker{"hello"});
  const auto bytes = state.memo.bytes();
  CHECK(bytes > 0);
  const auto again = accept(request_maker{"hello"});
  CHECK(state.memo.bytes() == bytes);
  CHECK(again.how->tokens.size() == 5);

  const auto chat = accept(chat_of("hello"));
  auto other = std::make_shared<served_model>(*chat_model());
  auto description = std::make_shared<engine::model>(*chat_model()->description);
  description->dialogue = engine::chat_template::named("plain");
  other->description = description;
  other->chat_template = "plain";
  tell(aut, models_atom_v,
       std::make_shared<const std::vector<model_handle>>(std::vector<model_handle>{other}));
  CHECK(accept(chat_of("hello")).how->tokens != chat.how->tokens);
}

TEST_CASE_METHOD(analyzer_fixture,
                 "a journalled job comes back under its id and attempt, or is lost "
                 "by name",
                 "[actors][analyzer]") {
  job_id id;
  id.bytes[15] = 9;
  tell(aut, recover_atom_v, request_maker{"x", reply_mode::job}.make("", *time), id, 3u);
  const auto again = std::get<1>(ledger_in.last<recovered_atom, job>());
  CHECK(again.id == id);
  CHECK(again.attempt == 3);
  CHECK(again.recovered);
  auto gone = request_maker{"x"};
  gone.what.model = "unloaded";
  tell(aut, recover_atom_v, gone.make("", *time), id, 3u);
  const auto [atom, which, why] = ledger_in.last<lost_atom, job_id, failure>();
  CHECK(which == id);
  CHECK(why.name == "E_MODEL");
}

TEST_CASE_METHOD(analyzer_fixture,
                 "a request that makes analysis throw is refused, the next is "
                 "served",
                 "[actors][analyzer]") {
  auto what = chat_of("hello");
  what.what.items[0].messages[0].role = "nobody"; // the front would not let it through
  CHECK(refuse(what).name == "E_INTERNAL");
  (void)accept(request_maker{"x"});
}
