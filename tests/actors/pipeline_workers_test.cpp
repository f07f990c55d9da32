// SPDX-License-Identifier: MIT
#include "tests/actors/pipeline_fixture.h"

#include <catch2/catch.hpp>

#include <map>
#include <set>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

constexpr int n_jobs = 24;

/// A prompt whose answer takes a while: nothing of it comes from the cache.
request_maker long_job(int number, reply_mode mode) {
  request_maker out{"Tell me about number " + std::to_string(number) + ".", mode};
  out.what.params.max_tokens = 400;
  out.what.params.ignore_eos = true;
  out.what.credit = 1000;
  out.what.cache.no_store = out.what.cache.no_cache = true;
  out.what.trace = true;
  return out;
}

/// What one worker makes of every prompt.
const std::map<int, std::string>& reference() {
  static const auto texts = [] {
    pipeline_setup setup;
    setup.nodes = "[{cpus: [0]}]";
    const pipeline_home home{setup};
    running_pipeline pipeline{home};
    std::map<int, std::string> out;
    for (int i = 0; i < n_jobs; ++i)
      out[i] = pipeline.ask(long_job(i, reply_mode::sync)).text();
    return out;
  }();
  return texts;
}

/// Index of the worker named in a job's batching line.
char worker_of(const conversation& said) {
  for (const auto& line : said.result()->trace)
    if (const auto at = line.decision.find("worker "); line.phase == "batching")
      return line.decision.at(at + 7);
  return '?';
}

} // namespace

TEST_CASE("jobs spread over two workers, and every answer is that of one worker alone",
          "[actors][pipeline]") {
  REQUIRE(reference().size() == n_jobs);
  const pipeline_home home;
  running_pipeline pipeline{home};
  std::vector<std::string> tags;
  for (int i = 0; i < n_jobs; ++i)
    tags.push_back(pipeline.submit(long_job(i, reply_mode::stream)));
  std::map<char, int> used;
  for (int i = 0; i < n_jobs; ++i) {
    const auto said = pipeline.ended(tags[static_cast<std::size_t>(i)]);
    REQUIRE(said.result());
    CHECK(said.text() == reference().at(i));
    CHECK(said.delta_text() == said.text());
    CHECK(said.ends == 1);
    CHECK(said.released_jobs == 1);
    ++used[worker_of(said)];
  }
  CHECK(used['0'] > 0);
  CHECK(used['1'] > 0);
  CHECK(used.size() == 2);
}

TEST_CASE("killing a worker moves its jobs: none is lost, none is answered twice",
          "[actors][pipeline]") {
  REQUIRE(reference().size() == n_jobs);
  const pipeline_home home;
  running_pipeline pipeline{home};
  std::vector<std::string> tags;
  for (int i = 0; i < n_jobs; ++i) {
    auto what = long_job(i, i % 3 == 0 ? reply_mode::job : reply_mode::stream);
    what.what.durable = i % 3 != 1;
    what.what.wait_result = what.what.mode == reply_mode::job;
    tags.push_back(pipeline.submit(what));
  }
  const auto first = pipeline.peers_now();
  for (const std::size_t victim : {std::size_t{0}, std::size_t{1}, std::size_t{0}}) {
    // In the middle of the work: something has come from the worker that runs now.
    const auto before = pipeline.metric("bitnetd_steps_total");
    REQUIRE(pipeline.heard->wait(
        [&](const recorder&) { return pipeline.metric("bitnetd_steps_total") > before + 5; }));
    const auto now = pipeline.peers_now();
    caf::anon_send_exit(now->workers[victim], caf::exit_reason::kill);
    REQUIRE(pipeline.heard->wait(
        [&](const recorder& r) { return r.peers_now()->workers[victim] != now->workers[victim]; }));
  }
  int moved = 0;
  for (int i = 0; i < n_jobs; ++i) {
    const auto said = pipeline.ended(tags[static_cast<std::size_t>(i)]);
    REQUIRE(said.result());
    CHECK(said.ends == 1);
    CHECK(said.accepted.has_value());
    CHECK(said.text() == reference().at(i));
    CHECK(said.text().starts_with(said.delta_text()));
    CHECK(said.released_jobs == 1);
    for (const auto& line : said.result()->trace)
      moved += line.decision.find("its worker ended") != std::string::npos;
  }
  CHECK(moved > 0);
  CHECK(pipeline.metric("bitnetd_workers_lost_total") == 3);
  CHECK(pipeline.metric("bitnetd_jobs_total{state=\"done\"}") == n_jobs);
  CHECK(pipeline.heard->events("alert").size() == 3);
  // The new workers serve like the old ones.
  CHECK(pipeline.ask(long_job(0, reply_mode::sync)).text() == reference().at(0));
}

TEST_CASE("eight concurrent clients get streams that are identical to each alone",
          "[actors][pipeline]") {
  const pipeline_home home;
  running_pipeline pipeline{home};
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> tags;
    for (int i = 0; i < 8; ++i) {
      auto what = long_job(i, reply_mode::stream);
      what.what.principal = "client " + std::to_string(i);
      tags.push_back(pipeline.submit(what));
    }
    for (int i = 0; i < 8; ++i)
      CHECK(pipeline.ended(tags[static_cast<std::size_t>(i)]).delta_text() == reference().at(i));
  }
}

TEST_CASE("after an unclean end every accepted job is answered by the next start",
          "[actors][pipeline]") {
  const pipeline_home home;
  std::map<std::string, int> accepted; // job -> number
  {
    running_pipeline pipeline{home};
    std::vector<std::string> tags;
    for (int i = 0; i < n_jobs; ++i)
      tags.push_back(pipeline.submit(long_job(i, reply_mode::job)));
    for (int i = 0; i < n_jobs; ++i) {
      REQUIRE(pipeline.heard->wait([&](const recorder& r) {
        return r.of(tags[static_cast<std::size_t>(i)]).accepted.has_value();
      }));
      accepted[pipeline.heard->of(tags[static_cast<std::size_t>(i)]).accepted->job.text()] = i;
    }
    pipeline.stop(0); // at once: what runs is queued again
  }
  CHECK(accepted.size() == n_jobs);
  running_pipeline pipeline{home};
  for (const auto& [job, number] : accepted) {
    query what;
    what.reply_to = {0, "peer", "result of " + job, false};
    what.principal = "alice";
    what.jobs = {*job_id::parse(job)};
    what.wait = milliseconds{60'000};
    caf::anon_send(pipeline.peers_now()->ledger, result_atom_v, what);
    const auto said = pipeline.ended(what.reply_to.tag);
    REQUIRE(said.document());
    const auto document = nlohmann::json::parse(said.document()->body);
    CHECK(document["state"] == "done");
    CHECK(document["text"] == reference().at(number));
  }
}
