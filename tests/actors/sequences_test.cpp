// SPDX-License-Identifier: MIT
#include "actors/sequences.h"
#include "tests/actors/tiny_models.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

struct sequences_fixture {
  engine::compute_node node{{{0}, {}}, 1};
  sequences::settings settings;
  std::unique_ptr<sequences> aut;
  std::map<job_id, std::string> texts;
  std::map<job_id, std::vector<engine::token_id>> tokens;
  std::map<job_id, finished> ends;
  std::vector<embedded> vectors;
  std::vector<std::string> order; ///< which model each step ran

  sequences_fixture() {
    settings.max_sequences = 4;
    settings.kv_bytes = 1u << 20;
  }
  void serve(std::vector<model_handle> models) {
    if (!aut)
      aut = std::make_unique<sequences>(node, *engine::find_kernels("auto"), settings);
    aut->serve(std::make_shared<const std::vector<model_handle>>(std::move(models)));
  }
  static assignment job(std::uint8_t number, const std::string& text, std::uint32_t n = 12) {
    assignment out;
    out.id.bytes[15] = number;
    out.model_hash = chat_model()->description->model_hash;
    out.tokens = chat_model()->description->words->encode(text, true, false);
    out.max_new_tokens = n;
    return out;
  }
  /// One step; outputs are taken at once unless told otherwise.
  sequences::events step(bool take = true) {
    auto now = aut->step(mono_time{});
    for (const auto& piece : now.outputs) {
      CHECK(piece.first_token == tokens[piece.id].size());
      texts[piece.id] += piece.text;
      tokens[piece.id].insert(tokens[piece.id].end(), piece.tokens.begin(), piece.tokens.end());
      if (take)
        aut->taken(piece.id);
    }
    for (const auto& end : now.ends)
      ends[end.id] = end;
    for (const auto& vector : now.vectors)
      vectors.push_back(vector);
    if (now.cost)
      order.push_back(now.cost->model_hash == chat_model()->description->model_hash ? "chat"
                                                                                    : "embed");
    return now;
  }
  void drain() {
    while (!aut->idle())
      (void)step();
  }
  /// What the engine alone makes of the same request.
  std::string alone(const assignment& what) {
    engine::batch_options options;
    options.kv_pages = 32;
    engine::batch batch{chat_model()->description, chat_model()->per_node.front(), node,
                        *engine::find_kernels("auto"), options};
    engine::sequence_request request;
    request.id = 1;
    request.tokens = what.tokens;
    request.max_new_tokens = what.max_new_tokens;
    request.sampling = what.sampling;
    request.stops = what.stops;
    REQUIRE(batch.admit(std::move(request)) == engine::status::ok);
    std::string text;
    while (!batch.idle())
      for (const auto& out : batch.step({}).outputs)
        text += out.text;
    return text;
  }
};

} // namespace

TEST_CASE_METHOD(sequences_fixture,
                 "each of several sequences gets what the engine makes of it alone",
                 "[actors][sequences]") {
  serve({chat_model()});
  for (std::uint8_t n = 1; n <= 3; ++n)
    REQUIRE_FALSE(aut->assign(job(n, std::string(5u * n, 'q') + "?"), {}));
  drain();
  for (std::uint8_t n = 1; n <= 3; ++n) {
    const auto what = job(n, std::string(5u * n, 'q') + "?");
    CHECK(texts[what.id] == alone(what));
    CHECK(ends.at(what.id).n_tokens == tokens[what.id].size());
  }
}

TEST_CASE_METHOD(sequences_fixture, "at most one output of a job is on its way",
                 "[actors][sequences]") {
  serve({chat_model()});
  auto what = job(1, "hello");
  what.ignore_eos = true;
  REQUIRE_FALSE(aut->assign(what, {}));
  std::size_t outputs = 0;
  while (!aut->idle())
    outputs += step(/*take=*/false).outputs.size();
  CHECK(outputs == 1);
  CHECK(ends.empty()); // the end follows its last output
  aut->taken(what.id);
  CHECK_FALSE(aut->idle());
  CHECK(step(false).outputs.size() == 1); // all the rest in one piece
  CHECK(ends.count(what.id) == 1);
  CHECK(texts[what.id] == [&] {
    auto same = what;
    return alone(same);
  }());
}

TEST_CASE_METHOD(sequences_fixture, "a cancelled job ends at once, taken or not",
                 "[actors][sequences]") {
  serve({chat_model()});
  auto what = job(1, "hello", 400);
  what.ignore_eos = true;
  REQUIRE_FALSE(aut->assign(what, {}));
  SECTION("while it computes, its output untaken") {
    for (int i = 0; i < 4; ++i)
      (void)step(false);
  }
  SECTION("when all is computed and waits for its reader") {
    auto small = job(2, "hello", 6);
    small.ignore_eos = true;
    aut->cancel(what.id);
    REQUIRE_FALSE(aut->assign(small, {}));
    what = small;
    while (!aut->idle())
      (void)step(false);
    REQUIRE(ends.count(what.id) == 0);
  }
  aut->cancel(what.id);
  (void)step(false);
  REQUIRE(ends.count(what.id) == 1);
  CHECK(ends.at(what.id).finish == finish_kind::cancelled);
  CHECK(aut->open() == 0);
  CHECK(aut->idle());
  for (const auto& [model, room] : aut->credit().room)
    CHECK(room.sequences == 4);
}

TEST_CASE_METHOD(sequences_fixture, "a job taken up in the middle goes on as it would have gone",
                 "[actors][sequences]") {
  settings.kv = GENERATE(engine::kv_type::f16, engine::kv_type::q8);
  serve({chat_model()});
  auto whole = job(1, "continue this");
  whole.ignore_eos = true;
  whole.sampling.temperature = 0.8f;
  whole.sampling.seed = 5;
  REQUIRE_FALSE(aut->assign(whole, {}));
  drain();
  auto rest = whole;
  rest.id.bytes[15] = 2;
  rest.n_generated = 5;
  const auto& made = tokens[whole.id];
  rest.tokens.insert(rest.tokens.end(), made.begin(), made.begin() + 5);
  tokens[rest.id].assign(made.begin(), made.begin() + 5);
  REQUIRE_FALSE(aut->assign(rest, {}));
  drain();
  CHECK(tokens[rest.id] == made);
}

TEST_CASE_METHOD(sequences_fixture, "two models take turns", "[actors][sequences]") {
  serve({chat_model(), embed_model()});
  auto what = job(1, "hello", 8);
  what.ignore_eos = true;
  REQUIRE_FALSE(aut->assign(what, {}));
  for (std::uint8_t n = 2; n <= 4; ++n) {
    auto embedding = job(n, std::string(60, 'x'));
    embedding.model_hash = embed_model()->description->model_hash;
    embedding.embedding = true;
    embedding.max_new_tokens = 0;
    REQUIRE_FALSE(aut->assign(embedding, {}));
    aut->plan({embedding.model_hash, 64, 16, 0}); // several steps each
  }
  for (int i = 0; i < 6; ++i)
    (void)step();
  CHECK(std::ranges::count(order, "chat") == 3);
  CHECK(std::ranges::count(order, "embed") == 3);
  drain();
  CHECK(ends.size() == 4);
  CHECK(ends.at(job(2, "").id).embedding.size() == 256);
}

TEST_CASE_METHOD(sequences_fixture, "a vector for the cache goes before what clients wait for",
                 "[actors][sequences]") {
  serve({chat_model(), embed_model()});
  REQUIRE_FALSE(aut->assign(job(1, "hello", 8), {}));
  (void)step();
  const auto& words = *embed_model()->description->words;
  const auto model = embed_model()->description->model_hash;
  CHECK(aut->embed({77, model, words.encode("a question", true, false)}));
  (void)step();
  REQUIRE(vectors.size() == 1);
  CHECK(vectors[0].ticket == 77);
  double length = 0;
  for (const double x : vectors[0].vector)
    length += x * x;
  CHECK(length == Approx(1.0).epsilon(1e-4));
  // Over budget: too long, nothing to embed, a model that is not here.
  CHECK_FALSE(aut->embed({78, model, std::vector<engine::token_id>(513, 1)}));
  CHECK_FALSE(aut->embed({79, model, {}}));
  CHECK_FALSE(aut->embed({80, hash128{}, {1}}));
}

TEST_CASE_METHOD(sequences_fixture,
                 "what does not fit now is refused for now, what never fits for "
                 "good",
                 "[actors][sequences]") {
  serve({chat_model()});
  for (std::uint8_t n = 1; n <= 4; ++n)
    REQUIRE_FALSE(aut->assign(job(n, "x"), {}));
  auto refused = aut->assign(job(5, "x"), {});
  REQUIRE(refused);
  CHECK(refused->no_room);
  auto foreign = job(6, "x");
  foreign.model_hash = {};
  refused = aut->assign(foreign, {});
  REQUIRE(refused);
  CHECK_FALSE(refused->no_room);
  auto endless = job(7, "x", 100000);
  refused = aut->assign(endless, {});
  REQUIRE(refused);
  CHECK_FALSE(refused->no_room);
}

TEST_CASE_METHOD(sequences_fixture,
                 "a model that is served no more finishes what it runs, then goes",
                 "[actors][sequences]") {
  serve({chat_model(), embed_model()});
  REQUIRE_FALSE(aut->assign(job(1, "hello"), {}));
  (void)step();
  serve({embed_model()});
  CHECK(aut->credit().room.count(chat_model()->description->model_hash) == 1);
  const auto counted = aut->counters().weight_bytes;
  drain();
  CHECK(ends.count(job(1, "").id) == 1);
  CHECK(texts[job(1, "").id] == alone(job(1, "hello")));
  CHECK(aut->credit().room.count(chat_model()->description->model_hash) == 0);
  CHECK(aut->counters().weight_bytes > counted); // its work is not forgotten
}

TEST_CASE_METHOD(sequences_fixture, "the budget bounds the rows of a step", "[actors][sequences]") {
  serve({chat_model()});
  const auto model = chat_model()->description->model_hash;
  aut->plan({model, 20, 16, 0});
  REQUIRE_FALSE(aut->assign(job(1, std::string(100, 'x')), {}));
  REQUIRE_FALSE(aut->assign(job(2, std::string(100, 'y')), {}));
  auto now = step();
  REQUIRE(now.cost);
  CHECK(now.cost->n_prefill == 20);
  aut->plan({model, 512, 16, 0}); // the chunk bounds each sequence
  now = step();
  CHECK(now.cost->n_prefill == 32);
}
