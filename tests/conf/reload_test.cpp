// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "conf/reload.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using namespace bitnetd::conf;

namespace {

struct reload_files : conf_fixture {
  reload_files() {
    bitnetd::log::set_level("off"); // each of them logs what it did
    directory.write("profiles/balanced.yaml", "batch: {max_tokens: 512}\n");
    directory.write("profiles/eco.yaml", "threads: 1\n");
    directory.write("bitnetd.yaml", one_model);
  }
  ~reload_files() { bitnetd::log::set_level("info"); }
};

struct reload_fixture : reload_files {
  configuration running{directory.path() / "bitnetd.yaml", some_directories(), small_machine()};
};

std::string changes(const reload_report& report) {
  std::string out;
  for (const auto& c : report.changed)
    out += c.text() + '\n';
  return out;
}

} // namespace

TEST_CASE_METHOD(reload_fixture, "a good edit is swapped in as a new version", "[conf][reload]") {
  const auto before = running.current();
  CHECK(before->version == 1);
  directory.write("profiles/balanced.yaml", "batch: {max_tokens: 256}\n");
  const auto report = running.reload();
  CHECK(report.applied);
  CHECK(report.version == 2);
  CHECK(changes(report) == "batch.max_tokens: 512 -> 256 (step)\n");
  CHECK(running.current()->version == 2);
  CHECK(running.current()->profile.batch.max_tokens == 256);
  CHECK(before->profile.batch.max_tokens == 512); // whoever holds the old one keeps it
}

TEST_CASE_METHOD(reload_fixture, "a reload without a change raises no version", "[conf][reload]") {
  directory.write("bitnetd.yaml", std::string{"# a comment\n"} + one_model);
  const auto report = running.reload();
  CHECK_FALSE(report.applied);
  CHECK(report.problems.empty());
  CHECK(report.changed.empty());
  CHECK(report.version == 1);
}

TEST_CASE_METHOD(reload_fixture, "a bad edit keeps the last good configuration and is counted",
                 "[conf][reload]") {
  const auto before = running.current();
  directory.write("bitnetd.yaml", "models: [{name: chat, path: chat.gguf}]\nlimts: 1\nlog: 2\n");
  const auto report = running.reload();
  CHECK_FALSE(report.applied);
  CHECK(report.version == 1);
  CHECK(report.problems.size() == 2);
  CHECK(running.current() == before);
  CHECK(running.failures() == 1);
  CHECK(shortened(running.last_failure()) ==
        "bitnetd.yaml:2:1: limts: unknown key; did you mean limits? (and 1 more)");
  std::filesystem::remove(directory.path() / "bitnetd.yaml");
  CHECK(running.reload().problems.size() == 1);
  CHECK(running.failures() == 2);
  CHECK(running.current() == before);
  directory.write("bitnetd.yaml", one_model + std::string{"log: {level: warn}\n"});
  CHECK(running.reload().applied);
  CHECK(running.last_failure().empty());
  CHECK(running.failures() == 2);
}

TEST_CASE_METHOD(reload_fixture, "a dry run tells and does nothing", "[conf][reload]") {
  directory.write("profiles/balanced.yaml", "batch: {max_tokens: 256}\n");
  const auto report = running.reload(true);
  CHECK_FALSE(report.applied);
  CHECK(report.version == 1);
  CHECK(changes(report) == "batch.max_tokens: 512 -> 256 (step)\n");
  CHECK(running.current()->profile.batch.max_tokens == 512);
  directory.write("profiles/balanced.yaml", "batch: [\n");
  CHECK(running.reload(true).problems.size() == 1);
  CHECK(running.failures() == 0);
  CHECK(running.last_failure().empty());
}

TEST_CASE_METHOD(reload_fixture, "restart keys wait, and are named until the restart",
                 "[conf][reload]") {
  directory.write("bitnetd.yaml",
                  one_model + std::string{"hardware: {max_sequences: 8}\n"
                                          "sockets: [{name: front, endpoint: \"ipc://f\"}]\n"
                                          "limits: {open_jobs: 7}\n"});
  const auto waiting = std::vector<std::string>{"sockets.admin", "sockets.events", "sockets.front",
                                                "hardware.max_sequences"};
  const auto report = running.reload();
  CHECK(report.applied);
  CHECK(report.waiting_for_restart() == waiting);
  CHECK(running.current()->limits.open_jobs == 7);
  CHECK(running.current()->hardware.max_sequences == 32);
  CHECK(running.current()->sockets.size() == 3);
  const auto again = running.reload();
  CHECK_FALSE(again.applied); // they alone are no new version
  CHECK(again.version == 2);
  CHECK(again.waiting_for_restart() == waiting);
  const configuration restarted(directory.path() / "bitnetd.yaml", some_directories(),
                                small_machine());
  CHECK(restarted.current()->hardware.max_sequences == 8);
  CHECK(restarted.current()->sockets.size() == 1);
}

TEST_CASE_METHOD(reload_fixture, "a chosen profile lasts until bitnetd.yaml changes",
                 "[conf][reload]") {
  const auto report = running.use_profile("eco");
  CHECK(report.applied);
  CHECK(changes(report) == "profile: balanced -> eco (step)\nthreads: 0 -> 1 (step)\n");
  CHECK(running.current()->profile.name == "eco");

  directory.write("profiles/eco.yaml", "threads: 2\n"); // the chosen profile stays editable
  CHECK(changes(running.reload()) == "threads: 1 -> 2 (step)\n");
  CHECK(running.current()->profile.name == "eco");

  directory.write("bitnetd.yaml", one_model + std::string{"log: {level: [}\n"});
  CHECK_FALSE(running.reload().problems.empty()); // a broken file wins nothing
  CHECK(running.current()->profile.name == "eco");
  directory.write("bitnetd.yaml", one_model); // and once that is taken back, nothing has changed
  CHECK_FALSE(running.reload().applied);
  CHECK(running.current()->profile.name == "eco");

  directory.write("bitnetd.yaml", one_model + std::string{"log: {level: warn}\n"});
  CHECK(running.reload().applied);
  CHECK(running.current()->profile.name == "balanced");
  CHECK(running.current()->profile.threads == 0);
}

TEST_CASE_METHOD(reload_fixture, "choosing a profile that is not there changes nothing",
                 "[conf][reload]") {
  const auto report = running.use_profile("ecco");
  CHECK_FALSE(report.applied);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].message.find("did you mean eco?") != std::string::npos);
  CHECK(running.current()->profile.name == "balanced");
  CHECK(running.failures() == 0); // the files are fine
  CHECK(running.use_profile("eco", true).changed.size() == 2);
  CHECK(running.current()->profile.name == "balanced");
  CHECK_FALSE(running.reload().applied); // the dry run chose nothing
}

TEST_CASE_METHOD(reload_files, "a profile given at the start lasts until bitnetd.yaml changes",
                 "[conf][reload]") {
  configuration started(directory.path() / "bitnetd.yaml", some_directories(), small_machine(),
                        "eco");
  CHECK(started.current()->profile.threads == 1);
  CHECK_FALSE(started.reload().applied);
  directory.write("bitnetd.yaml", one_model + std::string{"\n"});
  CHECK(started.reload().applied);
  CHECK(started.current()->profile.name == "balanced");
}

TEST_CASE_METHOD(reload_files, "a start with a bad configuration names every problem",
                 "[conf][reload]") {
  directory.write("bitnetd.yaml", "limts: 1\n");
  try {
    const configuration started(directory.path() / "bitnetd.yaml", some_directories(),
                                small_machine());
    FAIL("it started");
  } catch (const config_error& e) {
    CHECK(e.problems.size() == 2);
    CHECK(shortened(e.what()) ==
          "bitnetd.yaml: models: expected at least one model, such as [{name: chat, path: "
          "chat.gguf}]\n"
          "bitnetd.yaml:1:1: limts: unknown key; did you mean limits?\n");
  }
}

TEST_CASE_METHOD(reload_fixture, "readers and reloads on many threads see whole versions",
                 "[conf][reload]") {
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    std::uint64_t last = 0;
    while (!stop) {
      const auto now = running.current();
      // The two keys are always written alike.
      if (now->profile.batch.max_sequences != now->profile.chunk.prefill_tokens && now->version > 1)
        ++torn;
      if (now->version < last)
        ++torn;
      last = now->version;
    }
  });
  for (int i = 1; i <= 50; ++i) {
    const auto n = std::to_string(i);
    directory.write("profiles/balanced.yaml",
                    "batch: {max_sequences: " + n + "}\nchunk: {prefill_tokens: " + n + "}\n");
    std::thread other([&] { static_cast<void>(running.reload()); });
    static_cast<void>(running.reload());
    other.join();
  }
  stop = true;
  reader.join();
  CHECK(torn == 0);
  CHECK(running.current()->version == 51); // each content is one version, whoever reloaded
}
