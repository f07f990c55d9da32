// SPDX-License-Identifier: MIT
#include "tests/actors/pipeline_fixture.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

/// The decision of one phase in a result's trace; empty when the phase left no line.
std::string decision(const conversation& said, const std::string& phase) {
  for (const auto& line : said.result()->trace)
    if (line.phase == phase)
      return line.decision;
  return {};
}

request_maker traced(const std::string& text) {
  request_maker out{text};
  out.what.trace = true;
  return out;
}

std::string phase_metric(const std::string& phase, bool skipped) {
  return "bitnetd_phase_total{phase=\"" + phase + "\",skipped=\"" + (skipped ? "true" : "false") +
         "\"}";
}

} // namespace

TEST_CASE("a job that hits the cache never reaches the batcher", "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  const auto first = pipeline.ask(traced("a question"));
  REQUIRE(first.result());
  CHECK(first.result()->cache.status == cache_status::miss);
  CHECK(first.result()->cache.stored);
  const auto batched = pipeline.metric(phase_metric("batching", false));
  CHECK(batched == 1);
  for (const auto mode : {reply_mode::sync, reply_mode::stream, reply_mode::job}) {
    auto what = traced("a question");
    what.what.mode = mode;
    what.what.durable = mode == reply_mode::job;
    what.what.wait_result = mode == reply_mode::job;
    const auto said = pipeline.ask(what);
    REQUIRE(said.result());
    CHECK(said.result()->cache.status == cache_status::hit);
    CHECK(said.text() == first.text());
    CHECK(decision(said, "batching").empty());
  }
  CHECK(pipeline.metric(phase_metric("batching", false)) == batched);
}

TEST_CASE("a phase that is turned off in the profile changes trace and counters",
          "[actors][pipeline]") {
  const auto [phase, counted, words] = GENERATE(table<std::string, std::string, std::string>(
      {{"analysis", "analysis", "analysis is off"},
       {"cache", "cache", "bypassed: the cache is off"},
       {"batching", "batching", "batching is off"},
       {"checks", "combination", "checks are off"}}));
  pipeline_home home;
  running_pipeline pipeline{home};
  const auto on = pipeline.ask(traced("with it"));
  REQUIRE(on.result());
  CHECK(decision(on, counted).find(words) == std::string::npos);
  CHECK(pipeline.metric(phase_metric(counted, false)) == 1);
  CHECK(pipeline.metric(phase_metric(counted, true)) == 0);

  home.setup().profile = "phases: {" + phase + ": off}\n";
  home.write();
  REQUIRE(pipeline.administer("reload")["applied"] == true);
  const auto off = pipeline.ask(traced("without it"));
  REQUIRE(off.result());
  CHECK_THAT(decision(off, counted), Catch::Contains(words));
  CHECK(off.result()->config_version == 2);
  CHECK(pipeline.metric(phase_metric(counted, true)) == 1);
  CHECK(pipeline.metric(phase_metric(counted, false)) == 1);
}

TEST_CASE("a batch mixes stored and computed answers in the order of its items",
          "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  const auto known = pipeline.ask(traced("item one")).text();
  const std::vector<std::string> texts{"item zero", "item one", std::string(600, 'x'), "item zero"};
  const auto mode = GENERATE(reply_mode::sync, reply_mode::job);
  auto what = request_maker::batch(texts, mode);
  what.what.wait_result = mode == reply_mode::job;
  const auto said = pipeline.ask(what);
  CHECK(said.released_jobs == 4);
  if (mode == reply_mode::job) { // put together from what is stored of each
    REQUIRE(said.document());
    const auto stored = nlohmann::json::parse(said.document()->body)["items"];
    REQUIRE(stored.size() == 4);
    CHECK(stored[1]["cache"] == to_string(cache_status::hit));
    CHECK(stored[1]["text"] == known);
    CHECK(stored[2]["error"]["name"] == "E_CTX");
    CHECK(stored[0]["text"] == stored[3]["text"]); // one of them was computed
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(stored[i]["custom_id"] == "item " + std::to_string(i));
    return;
  }
  REQUIRE(said.result());
  const auto& items = said.result()->items;
  REQUIRE(items.size() == 4);
  CHECK(items[1]->cache.status == cache_status::hit);
  CHECK(items[1]->what->text == known);
  CHECK(items[2]->error->name == "E_CTX");
  CHECK(items[0]->what->text == items[3]->what->text); // one of them was computed
  CHECK((items[0]->cache.status == cache_status::miss) !=
        (items[3]->cache.status == cache_status::miss));
  for (std::uint32_t i = 0; i < 4; ++i)
    CHECK(items[i]->custom_id == "item " + std::to_string(i));
}

TEST_CASE("an embedding is made, of unit length, and stored", "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  auto what = traced("embed this");
  what.what.items[0].kind = job_kind::embedding;
  what.what.params = {};
  const auto first = pipeline.ask(what), second = pipeline.ask(what);
  REQUIRE(first.result());
  REQUIRE(second.result());
  CHECK(first.result()->what->embedding.size() == 256);
  CHECK(first.result()->what->failed_checks.empty());
  CHECK(second.result()->cache.status == cache_status::hit);
  CHECK(second.result()->what->embedding == first.result()->what->embedding);
}

TEST_CASE("a reworded question is served by similarity when the profile says on",
          "[actors][pipeline]") {
  pipeline_setup setup;
  setup.profile = "cache: {mode: on, trust: threshold, threshold: 0.5, min_confidence: 0}\n";
  const pipeline_home home{setup};
  running_pipeline pipeline{home};
  const auto first = pipeline.ask(traced("What is the capital of France, please?"));
  const auto second = pipeline.ask(traced("What is the capital of France please?"));
  REQUIRE(second.result());
  CHECK(second.result()->cache.status == cache_status::hit);
  CHECK(second.result()->cache.tier == "similarity");
  CHECK(second.result()->cache.similarity.value_or(0) > 0.5);
  CHECK(second.text() == first.text());
}

TEST_CASE("clients cancel what waits and what runs", "[actors][pipeline]") {
  pipeline_setup setup;
  setup.nodes = "[{cpus: [0]}]";
  setup.profile = "batch: {max_sequences: 1}\n";
  const pipeline_home home{setup};
  running_pipeline pipeline{home};
  std::vector<std::string> tags;
  for (int i = 0; i < 3; ++i) {
    auto what = traced("endless " + std::to_string(i));
    what.what.mode = reply_mode::stream;
    what.what.params.max_tokens = 480;
    what.what.params.ignore_eos = true;
    what.what.credit = 2; // nobody reads: it runs all the same
    tags.push_back(pipeline.submit(what));
  }
  const auto cancel = [&](const std::string& tag) {
    REQUIRE(
        pipeline.heard->wait([&](const recorder& r) { return r.of(tag).accepted.has_value(); }));
    query what;
    what.principal = "alice";
    what.jobs = {pipeline.heard->of(tag).accepted->job};
    what.reply_to = {0, "peer", "cancel " + tag, false};
    caf::anon_send(pipeline.peers_now()->analyzer, cancel_atom_v, what);
  };
  cancel(tags[2]);
  CHECK(pipeline.ended(tags[2]).error_name() == "E_CANCELLED");
  cancel(tags[0]);
  cancel(tags[1]);
  for (const auto& tag : tags) {
    const auto said = pipeline.ended(tag);
    CHECK(said.ends == 1);
    CHECK(said.released_jobs == 1);
    CHECK((said.error_name() == "E_CANCELLED" || said.result())); // it may have been faster
  }
  CHECK(pipeline.ask(traced("and on it goes")).result());
}
