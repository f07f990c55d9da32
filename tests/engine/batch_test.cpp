// SPDX-License-Identifier: MIT
#include "engine/batch.h"
#include "engine/evaluator.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

using namespace bitnetd;
using namespace bitnetd::engine;
using namespace bitnetd::tests;

namespace {

/// A loaded model, and batches over it.
struct batch_machine {
  explicit batch_machine(const tiny_model& model = {}, std::size_t threads = 2)
      : loaded{load_model(model.write(scratch.path() / "tiny.gguf"), {{}}, best_kernels())},
        node{node_description{}, threads} {}

  [[nodiscard]] batch make(const batch_options& options = {}) {
    return {loaded.description, loaded.per_node[0], node, best_kernels(), options};
  }

  /// A batch whose KV pages are meant for another memory node.
  [[nodiscard]] batch make_on(const node_description& where,
                              std::shared_ptr<const weights> layers) {
    other_node.emplace(where, 1);
    return {loaded.description, std::move(layers), *other_node, best_kernels(), {.kv_pages = 4}};
  }

  scratch_folder scratch;
  loaded_model loaded;
  compute_node node;
  std::optional<compute_node> other_node;
};

/// Everything that came of one sequence.
struct result {
  std::vector<token_id> tokens;
  std::string text;
  std::optional<finish_reason> finish;
  double logprob = 0;
  std::vector<float> embedding;

  bool operator==(const result&) const = default;

  void add(const sequence_output& out) {
    REQUIRE_FALSE(finish); // nothing comes after the end
    tokens.insert(tokens.end(), out.tokens.begin(), out.tokens.end());
    text += out.text;
    logprob += out.logprob_sum;
    if (out.ended) {
      finish = out.finish;
      embedding = out.embedding;
    }
  }
};

using results = std::map<std::uint64_t, result>;

void add(results& to, const step_report& report) {
  for (const auto& out : report.outputs)
    to[out.id].add(out);
}

results run_to_the_end(batch& sequences, const step_limits& limits = {}) {
  results all;
  while (!sequences.idle())
    add(all, sequences.step(limits));
  return all;
}

result run_alone(batch_machine& host, const sequence_request& request,
                 const batch_options& options = {}, const step_limits& limits = {}) {
  auto one = host.make(options);
  REQUIRE(one.admit(request) == status::ok);
  return run_to_the_end(one, limits).at(request.id);
}

/// Keeps what is drawn within lower-case letters and spaces, so that it is text.
std::vector<std::pair<token_id, float>> letters_only() {
  std::vector<std::pair<token_id, float>> bias;
  for (token_id token = 0; token < 260; ++token)
    if (token != ' ' && (token < 'a' || token > 'z'))
      bias.emplace_back(token, -1000.0f);
  return bias;
}

sequence_request letters(std::uint64_t id, std::vector<token_id> prompt, std::uint32_t n) {
  sequence_request request{.id = id, .tokens = std::move(prompt), .max_new_tokens = n};
  request.sampling.logit_bias = letters_only();
  return request;
}

std::vector<token_id> random_prompt(std::mt19937& random, std::size_t n) {
  std::vector<token_id> tokens(n);
  for (auto& token : tokens)
    token = static_cast<token_id>(random() % 256);
  return tokens;
}

/// Prompts of all sorts of lengths; greedy and sampled; generations and embeddings.
std::vector<sequence_request> mixed_requests(std::mt19937& random) {
  std::vector<sequence_request> all;
  for (const std::size_t n : {1, 5, 31, 32, 33, 64, 100, 170, 20, 20}) {
    auto request = letters(all.size() + 1, random_prompt(random, n),
                           static_cast<std::uint32_t>(5 + random() % 40));
    request.sampling.temperature = all.size() % 2 == 0 ? 0.0f : 0.9f;
    request.sampling.repetition_penalty = all.size() % 3 == 0 ? 1.3f : 1.0f;
    request.sampling.seed = 77 + all.size();
    request.embedding = all.size() % 5 == 4;
    all.push_back(std::move(request));
  }
  all[9].tokens = all[8].tokens; // two that share everything
  return all;
}

} // namespace

TEST_CASE("a sequence's output does not depend on the batch, chunks or threads, bit for bit",
          "[engine][batch]") {
  const auto kv = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  std::mt19937 random{2024};
  const auto requests = mixed_requests(random);
  batch_machine one_thread{tiny_model{.pooling = 1}, 1}, two_threads{tiny_model{.pooling = 1}, 2};
  results expected;
  for (const auto& request : requests)
    expected[request.id] =
        run_alone(one_thread, request, {.kv = kv}, {.max_tokens = 512, .prefill_chunk = 512});
  for (auto* host : {&one_thread, &two_threads})
    for (const std::size_t chunk : {1, 7, 32, 128})
      DYNAMIC_SECTION(host->node.threads() << " threads, chunks of " << chunk) {
        auto sequences = host->make({.max_sequences = 6, .kv_pages = 60, .kv = kv});
        auto waiting = requests;
        std::shuffle(waiting.begin(), waiting.end(), random);
        results got;
        while (!waiting.empty() || !sequences.idle()) {
          while (!waiting.empty() && random() % 3 != 0 &&
                 sequences.admit(waiting.back()) == status::ok)
            waiting.pop_back();
          add(got, sequences.step({.max_tokens = 1 + random() % 200, .prefill_chunk = chunk}));
        }
        CHECK(sequences.free_pages() == 60);
        for (const auto& [id, result] : expected) {
          INFO("sequence " << id);
          CHECK(got[id].tokens == result.tokens);
          CHECK(got[id].text == result.text);
          CHECK(got[id].finish == result.finish);
          CHECK(got[id].logprob == result.logprob);
          CHECK(got[id].embedding == result.embedding);
        }
      }
}

TEST_CASE("greedy decoding draws the most likely token of the evaluator's logits",
          "[engine][batch]") {
  batch_machine host;
  const std::vector<token_id> prompt{10, 20, 30};
  const auto got =
      run_alone(host, {.id = 1, .tokens = prompt, .max_new_tokens = 20, .ignore_eos = true},
                {.kv = kv_type::f32});
  evaluator eval{host.loaded.description, host.loaded.per_node[0], host.node, best_kernels(), {}};
  eval.feed(prompt);
  double logprob = 0;
  for (const auto token : got.tokens) {
    const auto logits = eval.logits();
    const auto top = std::max_element(logits.begin(), logits.end());
    REQUIRE(token == top - logits.begin());
    double sum = 0;
    for (const auto value : logits)
      sum += std::exp(double{value} - double{*top});
    logprob -= std::log(sum);
    eval.feed(std::vector{token});
  }
  CHECK(got.tokens.size() == 20);
  CHECK(got.finish == finish_reason::length);
  CHECK(got.logprob == Approx(logprob).epsilon(1e-5));
}

TEST_CASE("a sequence that is taken up elsewhere goes on as if it had never moved",
          "[engine][batch]") {
  const auto kv = GENERATE(kv_type::f16, kv_type::q8);
  batch_machine host;
  auto request = letters(1, {1, 2, 3, 4}, 40);
  request.sampling.temperature = 20.0f; // all letters come up, so that the stop string comes late
  request.sampling.seed = 5;
  const auto free = run_alone(host, request, {.kv = kv});
  // A stop string that ends four tokens from the end: text before it is held back on the way.
  request.stops = {free.text.substr(free.text.size() - 10, 6)};
  const auto whole = run_alone(host, request, {.kv = kv});
  REQUIRE(whole.finish == finish_reason::stop);
  REQUIRE(whole.tokens.size() > 10);
  for (std::size_t cut = 0; cut <= whole.tokens.size() - 1; ++cut) {
    auto first = host.make({.kv = kv});
    REQUIRE(first.admit(request) == status::ok);
    result joined;
    while (joined.tokens.size() < cut)
      for (const auto& out : first.step({}).outputs)
        joined.add(out);
    auto rest = request;
    rest.tokens.insert(rest.tokens.end(), joined.tokens.begin(), joined.tokens.end());
    rest.n_generated = static_cast<std::uint32_t>(cut);
    auto second = host.make({.kv = kv});
    REQUIRE(second.admit(rest) == status::ok);
    while (!second.idle())
      for (const auto& out : second.step({.max_tokens = 512, .prefill_chunk = 3}).outputs)
        joined.add(out);
    INFO("cut after " << cut);
    CHECK(joined.tokens == whole.tokens);
    CHECK(joined.text == whole.text);
    CHECK(joined.finish == whole.finish);
  }
}

TEST_CASE("a stop token ends a sequence without being part of it, unless told to go on",
          "[engine][batch]") {
  batch_machine host;
  sequence_request request{.id = 9, .tokens = {1, 2}, .max_new_tokens = 6};
  request.sampling.logit_bias = {{256, 1000.0f}}; // the model's EOS
  const auto stopped = run_alone(host, request);
  CHECK(stopped.finish == finish_reason::stop);
  CHECK(stopped.tokens.empty());
  request.ignore_eos = true;
  const auto going_on = run_alone(host, request);
  CHECK(going_on.finish == finish_reason::length);
  CHECK(going_on.tokens == std::vector<token_id>(6, 256));
}

TEST_CASE("text ends before a stop string", "[engine][batch]") {
  batch_machine host;
  auto request = letters(1, {7, 8, 9}, 30);
  request.sampling.temperature = 1.0f;
  const auto whole = run_alone(host, request);
  REQUIRE(whole.text.size() == 30);
  const auto stop = whole.text.substr(12, 5);
  request.stops = {"#never#", stop};
  const auto cut = run_alone(host, request);
  CHECK(cut.finish == finish_reason::stop);
  CHECK(cut.text == whole.text.substr(0, whole.text.find(stop)));
}

TEST_CASE("text held back for a stop string that does not come is given at the end",
          "[engine][batch]") {
  batch_machine host;
  auto request = letters(1, {7, 8, 9}, 12);
  const auto whole = run_alone(host, request);
  request.stops = {whole.text.substr(9) + "#"};
  const auto same = run_alone(host, request);
  CHECK(same.text == whole.text);
  CHECK(same.finish == finish_reason::length);
}

TEST_CASE("a sequence that may draw nothing ends at once", "[engine][batch]") {
  batch_machine host;
  auto sequences = host.make();
  REQUIRE(sequences.admit({.id = 1, .tokens = {1, 2}, .max_new_tokens = 0}) == status::ok);
  REQUIRE(sequences.admit({.id = 2, .tokens = {1, 2, 3}, .n_generated = 2, .max_new_tokens = 2}) ==
          status::ok);
  const auto report = sequences.step({});
  CHECK(report.n_prefill == 0);
  REQUIRE(report.outputs.size() == 2);
  for (const auto& out : report.outputs) {
    CHECK(out.ended);
    CHECK(out.finish == finish_reason::length);
    CHECK(out.tokens.empty());
  }
  CHECK(sequences.idle());
}

TEST_CASE("a cancelled sequence ends once and gives back what it held", "[engine][batch]") {
  batch_machine host;
  auto sequences = host.make({.max_sequences = 2, .kv_pages = 8});
  REQUIRE(sequences.admit(letters(1, {1, 2, 3}, 100)) == status::ok);
  REQUIRE(sequences.admit(letters(2, {4, 5}, 10)) == status::ok);
  CHECK(sequences.free_sequences() == 0);
  results got;
  add(got, sequences.step({}));
  sequences.cancel(1);
  sequences.cancel(1);
  sequences.cancel(12345); // unknown: ignored
  add(got, sequences.step({}));
  CHECK(got[1].finish == finish_reason::cancelled);
  CHECK(got[1].tokens.size() == 1);
  CHECK(sequences.free_sequences() == 1);
  for (auto& [id, more] : run_to_the_end(sequences))
    CHECK(id == 2);
  CHECK(sequences.free_pages() == 8);
}

TEST_CASE("an overflow ends its own sequence only", "[engine][batch]") {
  // Token 7 alone has a value in dimension 0, no layer writes there, and the last norm turns that
  // value into infinity.
  tiny_model fragile;
  fragile.pooling = 3;
  fragile.change = [](const std::string& name, std::span<float> values, std::size_t cols) {
    if (name == "token_embd.weight")
      for (std::size_t token = 0; token < values.size() / cols; ++token)
        values[token * cols] = token == 7 ? 100.0f : 0.0f;
    if (name.find("attn_output") != std::string::npos || name.find("ffn_down") != std::string::npos)
      std::fill_n(values.begin(), cols, 0.0f);
    if (name == "output_norm.weight")
      values[0] = 3e38f;
  };
  batch_machine host{fragile};
  const auto healthy = letters(1, {1, 2, 3}, 25);
  const auto expected = run_alone(host, healthy);
  REQUIRE(expected.finish == finish_reason::length);
  auto sequences = host.make();
  REQUIRE(sequences.admit(letters(2, {1, 2, 7}, 25)) == status::ok);
  REQUIRE(sequences.admit(healthy) == status::ok);
  REQUIRE(sequences.admit({.id = 3, .tokens = {7}, .embedding = true}) == status::ok);
  const auto got = run_to_the_end(sequences);
  CHECK(got.at(2).finish == finish_reason::numeric);
  CHECK(got.at(2).tokens.empty());
  CHECK(got.at(3).finish == finish_reason::numeric);
  CHECK(got.at(3).embedding.empty());
  CHECK(got.at(1) == expected);
}

TEST_CASE("an embedding in a batch is the evaluator's", "[engine][batch]") {
  batch_machine host{tiny_model{.pooling = GENERATE(1u, 3u)}};
  std::mt19937 random{6};
  const auto tokens = random_prompt(random, 90);
  evaluator eval{host.loaded.description,
                 host.loaded.per_node[0],
                 host.node,
                 best_kernels(),
                 {.kv = kv_type::f16}};
  const auto expected = eval.embed(tokens);
  const auto got = run_alone(host, {.id = 1, .tokens = tokens, .embedding = true}, {},
                             {.max_tokens = 512, .prefill_chunk = 13});
  CHECK(got.embedding == expected);
  CHECK(got.finish == finish_reason::stop);
  CHECK(got.tokens.empty());
}

TEST_CASE("admission says what is wrong and changes nothing", "[engine][batch]") {
  batch_machine host; // context 512, vocabulary 260
  auto sequences = host.make({.max_sequences = 2, .kv_pages = 4});
  CHECK(sequences.admit({.id = 1, .tokens = {}, .max_new_tokens = 1}) == status::empty_prompt);
  CHECK(sequences.admit({.id = 1, .tokens = {1, 2}, .n_generated = 2, .max_new_tokens = 9}) ==
        status::empty_prompt);
  CHECK(sequences.admit({.id = 1, .tokens = {1, 260}, .max_new_tokens = 1}) == status::bad_token);
  CHECK(sequences.admit({.id = 1, .tokens = {-1}, .max_new_tokens = 1}) == status::bad_token);
  CHECK(sequences.admit({.id = 1, .tokens = {1}, .max_new_tokens = 512}) ==
        status::prompt_too_long);
  CHECK(sequences.admit({.id = 1, .tokens = {1}, .max_new_tokens = 0xFFFFFFFF}) ==
        status::prompt_too_long);
  CHECK(sequences.admit({.id = 1, .tokens = {1}, .max_new_tokens = 200}) == status::out_of_pages);
  CHECK(sequences.idle());
  CHECK(sequences.free_pages() == 4);
  CHECK(sequences.admit(letters(1, {1}, 31)) == status::ok);
  CHECK(sequences.free_pages() == 3); // 1 + 31 tokens are one page
  CHECK(sequences.pages_needed(33) == 2);
  CHECK(sequences.admit(letters(1, {1}, 31)) == status::duplicate_id);
  CHECK(sequences.admit(letters(2, {1}, 31)) == status::ok);
  CHECK(sequences.admit(letters(3, {1}, 31)) == status::batch_full);
}

TEST_CASE("a step takes every decode first and fills up with prompts in order of arrival",
          "[engine][batch]") {
  batch_machine host;
  auto sequences = host.make();
  REQUIRE(sequences.admit(letters(1, {1}, 50)) == status::ok);
  REQUIRE(sequences.admit(letters(2, {2}, 50)) == status::ok);
  auto report = sequences.step({});
  CHECK(report.n_prefill == 2);
  CHECK(report.n_decode == 0);
  REQUIRE(sequences.admit(letters(3, std::vector<token_id>(50, 3), 5)) == status::ok);
  REQUIRE(sequences.admit(letters(4, std::vector<token_id>(50, 4), 5)) == status::ok);
  report = sequences.step({.max_tokens = 42, .prefill_chunk = 30});
  CHECK(report.n_decode == 2);
  CHECK(report.n_prefill == 40); // 30 of the third, 10 of the fourth
  // Two decodes at position 1, then 1…30 and 1…10 positions.
  CHECK(report.context_sum == 2 + 2 + 30 * 31 / 2 + 10 * 11 / 2);
  CHECK(report.outputs.size() == 2);
  CHECK(report.seconds > 0);
}

TEST_CASE("with fewer rows than decodes nobody is left behind", "[engine][batch]") {
  batch_machine host;
  auto sequences = host.make();
  for (std::uint64_t id = 1; id <= 5; ++id)
    REQUIRE(sequences.admit(letters(id, {static_cast<token_id>(id)}, 60)) == status::ok);
  (void)sequences.step({});
  std::map<std::uint64_t, int> served;
  for (int i = 0; i < 10; ++i)
    for (const auto& out : sequences.step({.max_tokens = 2}).outputs)
      ++served[out.id];
  for (std::uint64_t id = 1; id <= 5; ++id)
    CHECK(served[id] == 4);
}

TEST_CASE("a decode step of eight sequences reads each weight once", "[engine][batch]") {
  batch_machine host;
  const auto decode_bytes = [&](std::size_t n) {
    auto sequences = host.make();
    for (std::size_t id = 1; id <= n; ++id)
      REQUIRE(sequences.admit(letters(id, {static_cast<token_id>(id)}, 9)) == status::ok);
    (void)sequences.step({});
    const auto before = sequences.counters();
    const auto report = sequences.step({});
    CHECK(report.n_decode == n);
    std::uint64_t bytes = 0;
    for (std::size_t layer = 0; layer < before.layers.size(); ++layer)
      for (std::size_t op = 0; op < n_operations; ++op)
        if (op != static_cast<std::size_t>(operation::embed)) // one embedding row per token
          bytes += sequences.counters().layers[layer][op].weight_bytes -
                   before.layers[layer][op].weight_bytes;
    return bytes;
  };
  const auto one = decode_bytes(1);
  CHECK(one > 0);
  CHECK(decode_bytes(8) == one);
}

TEST_CASE("sequences with the same beginning share its full pages", "[engine][batch]") {
  batch_machine host;
  const auto kv = GENERATE(kv_type::f16, kv_type::q8);
  auto sequences = host.make({.max_sequences = 4, .kv_pages = 40, .kv = kv});
  std::mt19937 random{1};
  const auto prompt = random_prompt(random, 100); // 3 full pages and a bit
  for (std::uint64_t id = 1; id <= 4; ++id)
    REQUIRE(sequences.admit(letters(id, prompt, 4)) == status::ok);
  CHECK(sequences.free_pages() == 40 - 4 * 4);
  (void)sequences.step({});
  CHECK(sequences.free_pages() == 40 - 3 - 4);
  (void)run_to_the_end(sequences);
  CHECK(sequences.free_pages() == 40);
}

TEST_CASE("a model without tokenizer draws tokens and no text", "[engine][batch]") {
  batch_machine host{tiny_model{.words = false}};
  const auto got =
      run_alone(host, {.id = 1, .tokens = {1, 2}, .max_new_tokens = 4, .stops = {"x"}});
  CHECK(got.tokens.size() == 4);
  CHECK(got.text.empty());
}

TEST_CASE("a batch says whether weights and KV memory lie on the node they were meant for",
          "[engine][batch]") {
  batch_machine host;
  CHECK(host.make({.kv_pages = 4}).memory_bound()); // nothing was to be bound
  const int nowhere = 1000;
  const node_description there{{}, nowhere};
  CHECK_FALSE(host.make_on(there, host.loaded.per_node[0]).memory_bound());
  const auto elsewhere = load_model(host.scratch.path() / "tiny.gguf", {there}, best_kernels());
  CHECK_FALSE(host.make_on({}, elsewhere.per_node[0]).memory_bound());
}
