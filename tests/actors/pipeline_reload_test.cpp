// SPDX-License-Identifier: MIT
#include "tests/actors/pipeline_fixture.h"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// A job that is computed, with its trace.
request_maker fresh(const std::string& text, std::uint32_t n = 8) {
  request_maker out{text};
  out.what.params.max_tokens = n;
  out.what.params.ignore_eos = true;
  out.what.trace = true;
  out.what.cache.no_store = out.what.cache.no_cache = true;
  return out;
}

/// Sum of the rows of all steps so far, and their number, once there are so many rows: a step is
/// counted after its replies were sent.
std::vector<double> steps(running_pipeline& pipeline, double rows) {
  for (int i = 0; i < 1000 && pipeline.metric("bitnetd_batch_size_sum") < rows; ++i)
    std::this_thread::sleep_for(milliseconds{10});
  return {pipeline.metric("bitnetd_batch_size_sum"), pipeline.metric("bitnetd_batch_size_count")};
}

struct reload_fixture {
  pipeline_home home{{"[{cpus: [0]}]", "", ""}};
  running_pipeline pipeline{home};

  void edit(const std::string& profile, const std::string& main = {}) {
    home.change({"[{cpus: [0]}]", main, profile});
    const auto told = pipeline.administer("reload");
    INFO(told.dump());
    REQUIRE(told.value("applied", false));
  }
};

} // namespace

TEST_CASE_METHOD(reload_fixture, "an edited chunk shapes the steps of a running worker",
                 "[actors][pipeline][reload]") {
  (void)pipeline.ask(fresh(std::string(200, 'a'), 1)); // two steps of 128 and 72 rows
  CHECK(steps(pipeline, 200) == std::vector{200.0, 2.0});
  edit("chunk: {prefill_tokens: 20}\n");
  (void)pipeline.ask(fresh(std::string(200, 'b'), 1));
  CHECK(steps(pipeline, 400) == std::vector{400.0, 12.0});
}

TEST_CASE_METHOD(reload_fixture, "an edited batch.max_tokens bounds the rows of a step",
                 "[actors][pipeline][reload]") {
  auto what = request_maker::batch(std::vector<std::string>(16, std::string(100, 'x')));
  what.what.params.max_tokens = 1;
  what.what.cache.no_store = what.what.cache.no_cache = true;
  edit("chunk: {prefill_tokens: 20}\n");
  REQUIRE(pipeline.ask(what).result());
  const auto before = steps(pipeline, 1600);
  CHECK(before[0] / before[1] > 20); // prompts share steps
  edit("chunk: {prefill_tokens: 20}\nbatch: {max_tokens: 20}\n");
  REQUIRE(pipeline.ask(what).result());
  const auto after = steps(pipeline, 3200);
  CHECK(after[0] - before[0] == 1600);
  CHECK(after[1] - before[1] >= 80);
}

TEST_CASE_METHOD(reload_fixture, "an edited targets.step bounds the predicted time of a step",
                 "[actors][pipeline][reload]") {
  const auto chunk = [&] {
    std::uint32_t least = UINT32_MAX;
    const auto told = pipeline.administer("stats");
    for (const auto& [hash, model] : told["batcher"]["workers"][0]["models"].items())
      least = std::min(least, model["prefill_chunk"].get<std::uint32_t>());
    return least;
  };
  const std::string wide = "chunk: {prefill_tokens: 4096}\nbatch: {max_tokens: 4096}\n";
  edit(wide + "targets: {step: 60s}\n");
  (void)pipeline.ask(fresh("one"));
  CHECK(chunk() == 4096);
  edit(wide + "targets: {step: 1ms}\n"); // below what so many rows of two layers take anywhere
  CHECK(chunk() < 4096);
}

TEST_CASE_METHOD(reload_fixture, "threads change under a running worker",
                 "[actors][pipeline][reload]") {
  (void)pipeline.ask(fresh("one"));
  CHECK(pipeline.administer("stats")["workers"][0]["threads"] == 1);
  edit("threads: 2\n");
  (void)pipeline.ask(fresh("two"));
  CHECK(pipeline.administer("stats")["workers"][0]["threads"] == 2);
}

TEST_CASE_METHOD(reload_fixture, "defaults of sampling act on jobs that come after the edit",
                 "[actors][pipeline][reload]") {
  auto what = fresh("a question");
  what.what.params.max_tokens.reset();
  CHECK(pipeline.ask(what).result()->what->used.completion_tokens == 256);
  edit("sampling: {max_tokens: 5}\n");
  const auto said = pipeline.ask(what);
  CHECK(said.result()->what->used.completion_tokens == 5);
  CHECK(said.result()->config_version == 2);
}

TEST_CASE_METHOD(reload_fixture, "a new life of entries acts on the next answer",
                 "[actors][pipeline][reload]") {
  edit("cache: {ttl: 100s}\n");
  (void)pipeline.ask(request_maker{"a question"});
  const auto said = pipeline.ask(request_maker{"a question"});
  REQUIRE(said.result());
  REQUIRE(said.result()->cache.ttl_s);
  CHECK(*said.result()->cache.ttl_s <= 100);
}

TEST_CASE_METHOD(reload_fixture, "a configuration that is wrong changes nothing and is named",
                 "[actors][pipeline][reload]") {
  home.change({"[{cpus: [0]}]", "", "batch: {max_sequences: many}\n"});
  CHECK(pipeline.administer("reload")["error"] == "E_CONFIG");
  CHECK(pipeline.settings->current()->version == 1);
  CHECK(pipeline.ask(fresh("still here")).result());
  CHECK(pipeline.metric("bitnetd_config_reloads_total{result=\"refused\"}") == 1);
}

TEST_CASE_METHOD(reload_fixture, "profiles edited under load take effect with no failed job",
                 "[actors][pipeline][reload]") {
  std::vector<std::string> tags;
  std::vector<std::string> texts;
  for (int i = 0; i < 30; ++i) {
    tags.push_back(pipeline.submit(fresh("under load " + std::to_string(i % 10), 20)));
    if (i % 5 == 4)
      edit("batch: {max_sequences: " + std::to_string(1 + i % 7) + ", max_tokens: " +
           std::to_string(16 + i) + "}\nchunk: {prefill_tokens: " + std::to_string(4 + i) +
           "}\nthreads: " + std::to_string(1 + i % 2) + "\n");
  }
  for (const auto& tag : tags) {
    const auto said = pipeline.ended(tag);
    REQUIRE(said.result());
    texts.push_back(said.text());
  }
  for (std::size_t i = 0; i < texts.size(); ++i)
    CHECK(texts[i] == texts[i % 10]); // whatever the shape of the steps
}

TEST_CASE("models come and go while others serve, and a job keeps its model to the end",
          "[actors][pipeline][reload]") {
  pipeline_home home{{"[{cpus: [0]}]", "", ""}};
  running_pipeline pipeline{home};
  const auto models = [&] {
    std::vector<std::string> out;
    const auto told = pipeline.administer("models");
    for (const auto& model : told["models"])
      out.push_back(model["name"]);
    return out;
  };
  const auto becomes = [&](const std::vector<std::string>& wanted) {
    return pipeline.heard->wait([&](const recorder&) { return models() == wanted; });
  };
  auto slow = fresh("a long story", 400);
  slow.what.model = "chat";
  const auto reference = pipeline.ask(slow).text();
  std::vector<std::string> running;
  for (int i = 0; i < 12; ++i) // more than run at once: some wait for the model
    running.push_back(pipeline.submit(slow));

  tests::tiny_model other;
  other.seed = 5;
  other.write(home.path() / "other.gguf");
  home.models = "  - {name: other, path: other.gguf}\n";
  home.write();
  REQUIRE(pipeline.administer("reload")["applied"] == true);
  REQUIRE(becomes({"other"}));
  CHECK(pipeline.ask(slow).error_name() == "E_MODEL");
  auto what = fresh("hello");
  CHECK(pipeline.ask(what).result()->model == "other");
  for (const auto& tag : running)
    CHECK(pipeline.ended(tag).text() == reference);
  // With the last of its jobs the old model leaves the worker.
  CHECK(pipeline.heard->wait([&](const recorder&) {
    const auto told = pipeline.administer("stats");
    return told["batcher"]["workers"][0]["models"].size() == 1;
  }));

  home.models = "  - {name: other, path: missing.gguf}\n"; // refused: the old ones stay
  home.write();
  REQUIRE(pipeline.administer("reload")["applied"] == true);
  CHECK(pipeline.heard->wait([](const recorder& r) { return !r.events("alert").empty(); }));
  CHECK(pipeline.ask(what).result()->model == "other");
}

TEST_CASE("a drain lets what runs end and takes nothing new", "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  const auto running = pipeline.submit(fresh("still running", 200));
  CHECK(pipeline.administer("drain")["state"] == "draining");
  CHECK(pipeline.ask(fresh("too late")).error_name() == "E_DRAINING");
  CHECK(pipeline.ended(running).result());
  CHECK(pipeline.administer("undrain")["state"] == "ready");
  CHECK(pipeline.ask(fresh("welcome again")).result());
}

TEST_CASE("a stop waits for running jobs up to its limit and no longer", "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  const auto short_one = pipeline.submit(fresh("short", 50));
  const auto began = std::chrono::steady_clock::now();
  pipeline.stop(30);
  CHECK(std::chrono::steady_clock::now() - began < seconds{25});
  const auto said = pipeline.heard->of(short_one);
  CHECK(said.ends == 1); // answered, or refused if the stop was faster
  CHECK((said.result() || said.error_name() == "E_DRAINING"));
}
