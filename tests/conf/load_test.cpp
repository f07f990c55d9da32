// SPDX-License-Identifier: MIT
#include "conf/load.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

using namespace bitnetd::conf;

TEST_CASE_METHOD(conf_fixture, "one model is enough, all else has defaults", "[conf][load]") {
  const auto result = load_text(one_model);
  CHECK(text(result.problems) == "");
  REQUIRE(result.value);
  const auto& c = *result.value;
  CHECK(c.models.at(0).name == "chat");
  CHECK(c.models.at(0).path == directory.path() / "chat.gguf");
  CHECK_FALSE(c.models.at(0).embedding);
  REQUIRE(c.sockets.size() == 3);
  CHECK(c.sockets[0].endpoint == "ipc:///run/bitnetd/front.sock");
  CHECK(c.sockets[0].may == role::submit);
  CHECK(c.sockets[1].may == role::admin);
  CHECK(c.sockets[1].mode == 0600);
  CHECK(c.sockets[2].kind == "xpub");
  CHECK(c.limits.body_bytes == 8'388'608);
  CHECK(c.profile.name == "balanced");
  CHECK(c.profile.classes.at("interactive").weight > c.profile.classes.at("batch").weight);
  CHECK(c.state_directory == "/state");
  CHECK(c.cache_directory == "/cache");
  CHECK(c.runtime_directory == "/run/bitnetd");
  CHECK(c.file == directory.path() / "bitnetd.yaml");
  CHECK(c.version == 0);
}

TEST_CASE_METHOD(conf_fixture, "bitnetd.yaml and the profile both have a say", "[conf][load]") {
  const auto result = load_text(R"(models:
  - {name: chat, path: /m/chat.gguf, template: llama-3}
  - {name: embed, path: sub/../embed.gguf, embedding: true}
sockets:
  - {name: front, endpoint: "ipc://sub/f.sock", may: read, mode: 0666, principal: team}
hardware:
  isa: avx2
  kv_type: f32
  nodes: [{cpus: [0, 2]}, {cpus: [1], memory_node: 0}]
limits: {body_bytes: 1 MiB, result_retention: 2d}
cache: {max_bytes: 10MiB}
log: {level: warn}
)",
                                R"(cache: {mode: exact, ttl: 90s}
phases: {checks: off}
classes: {background: {weight: 3}}
targets: {step: 2s}
threads: 1
)");
  CHECK(text(result.problems) == "");
  REQUIRE(result.value);
  const auto& c = *result.value;
  CHECK(c.models.at(0).chat_template == "llama-3");
  CHECK(c.models.at(1).path == directory.path() / "embed.gguf");
  CHECK(c.models.at(1).embedding);
  REQUIRE(c.sockets.size() == 1);
  CHECK(c.sockets[0].endpoint == "ipc:///run/bitnetd/sub/f.sock");
  CHECK(c.sockets[0].may == role::read);
  CHECK(c.sockets[0].mode == 0666);
  CHECK(c.sockets[0].principal == "team");
  CHECK(c.hardware.isa == "avx2");
  REQUIRE(c.hardware.nodes.size() == 2);
  CHECK(c.hardware.nodes[0].cpus == std::vector{0, 2});
  CHECK_FALSE(c.hardware.nodes[0].memory_node);
  CHECK(c.hardware.nodes[1].memory_node == 0);
  CHECK(c.limits.body_bytes == 1'048'576);
  CHECK(c.limits.result_retention == seconds{172'800});
  CHECK(c.cache.max_bytes == 10'485'760);
  CHECK(c.log.level == "warn");
  CHECK(c.profile.cache.mode == cache_mode::exact);
  CHECK(c.profile.cache.ttl == seconds{90});
  CHECK_FALSE(c.profile.phases.checks);
  CHECK(c.profile.phases.cache);
  CHECK(c.profile.classes.at("background").weight == 3);
  CHECK(c.profile.classes.at("background").max_wait == seconds{3600});
  CHECK(c.profile.targets.step == milliseconds{2000});
  CHECK(c.profile.threads == 1);
  CHECK(result.places.at("limits.body_bytes").at.line == 10);
  CHECK(result.places.at("limits.body_bytes").at.column == 22);
}

TEST_CASE_METHOD(conf_fixture, "each mistake in bitnetd.yaml has its place and its remedy",
                 "[conf][load]") {
  const std::string model = one_model;
  const auto [main, expected] = GENERATE_COPY(table<std::string, std::string>({
      // unknown keys
      {model + "limts: {}\n", "bitnetd.yaml:2:1: limts: unknown key; did you mean limits?\n"},
      {model + "limits:\n  boddy_bytes: 1MiB\n",
       "bitnetd.yaml:3:3: limits.boddy_bytes: unknown key; did you mean body_bytes?\n"},
      {model + "limits: {opne_jobs: 5}\n",
       "bitnetd.yaml:2:10: limits.opne_jobs: unknown key; did you mean open_jobs?\n"},
      {model + "body_bytes: 1MiB\n",
       "bitnetd.yaml:2:1: body_bytes: unknown key; did you mean limits.body_bytes?\n"},
      {model + "log: {colour: red}\n",
       "bitnetd.yaml:2:7: log.colour: unknown key; known here: level\n"},
      {model + "limits.body_bytes: 1MiB\n",
       "bitnetd.yaml:2:1: limits.body_bytes: unknown key; a section's keys stand indented below "
       "its name\n"},
      {model + "models[].name: x\n", "bitnetd.yaml:2:1: models[].name: unknown key; a section's "
                                     "keys stand indented below its name\n"},
      {model + "<<: {limits: 1}\n", "bitnetd.yaml:2:1: <<: unknown key; known here: models, "
                                    "sockets, principals, hardware, limits, cache, "
                                    "log, profile\n"},
      {model + "\"a\\nb\": 1\n", "bitnetd.yaml:2:1: a\\nb: unknown key; known here: models, "
                                 "sockets, principals, hardware, limits, cache, log, profile\n"},
      {"models: [{name: a, path: b, embeding: true}]\n",
       "bitnetd.yaml:1:29: models[0].embeding: unknown key; did you mean embedding?\n"},
      // twice
      {model + "log: {level: info}\nlog: {level: warn}\n",
       "bitnetd.yaml:3:1: log: stands twice; the first is in line 2\n"},
      {model + "limits:\n  open_jobs: 1\n  open_jobs: 1\n",
       "bitnetd.yaml:4:3: limits.open_jobs: stands twice; the first is in line 3\n"},
      {"models: [{name: a, path: b, name: c}]\n",
       "bitnetd.yaml:1:29: models[0].name: stands twice; the first is in line 1\n"},
      // wrong kinds
      {model + "limits: 5\n",
       "bitnetd.yaml:2:9: limits: expected a mapping of body_bytes, max_tokens, open_jobs, "
       "open_bytes, batch_items, result_retention, drain_timeout, result_bytes, disk_reserve, got "
       "5\n"},
      {model + "log: [level]\n",
       "bitnetd.yaml:2:6: log: expected a mapping of level, got a list\n"},
      {model + "? [a, b]\n: 1\n", "bitnetd.yaml:2:3: expected a word as the key, got a list\n"},
      {model + "log: {~: 1}\n", "bitnetd.yaml:2:7: log: expected a word as the key, got nothing\n"},
      {"models: chat.gguf\n", "bitnetd.yaml:1:9: models: expected a list, got \"chat.gguf\"\n"},
      {"models: {name: chat}\n", "bitnetd.yaml:1:9: models: expected a list, got a mapping\n"},
      {"models: [chat.gguf]\n",
       "bitnetd.yaml:1:10: models[0]: expected a mapping of name, path, template, embedding, "
       "i2s_layout, activations, weights, got \"chat.gguf\"\n"},
      {"models: [{name: chat}]\n", "bitnetd.yaml:1:10: models[0]: the key path is missing; "
                                   "expected the path of a file\n"},
      // values
      {model + "limits: {open_jobs: many}\n",
       "bitnetd.yaml:2:21: limits.open_jobs: expected a whole number from 1 to 1000000, got "
       "\"many\"\n"},
      {model + "limits: {open_jobs: 0}\n",
       "bitnetd.yaml:2:21: limits.open_jobs: expected a whole number from 1 to 1000000, got 0\n"},
      {model + "limits:\n  body_bytes: 65MiB\n",
       "bitnetd.yaml:3:15: limits.body_bytes: expected a size from 1KiB to 64MiB (such as 8MiB, or "
       "a number of bytes), got \"65MiB\"\n"},
      {model + "limits: {body_bytes: 8MB}\n",
       "bitnetd.yaml:2:22: limits.body_bytes: expected a size from 1KiB to 64MiB (such as 8MiB, or "
       "a number of bytes), got \"8MB\"; the units are B, KiB, MiB, GiB, TiB\n"},
      {model + "limits: {drain_timeout: 2h}\n",
       "bitnetd.yaml:2:25: limits.drain_timeout: expected a time from 1s to 60min (such as 250ms, "
       "30s, 24h, or a number of seconds), got \"2h\"\n"},
      {model + "limits:\n  drain_timeout:\n  open_jobs: 5\n",
       "bitnetd.yaml:3:3: limits.drain_timeout: expected a time from 1s to 60min (such as 250ms, "
       "30s, 24h, or a number of seconds), got nothing\n"},
      {model + "hardware: {isa: avx3}\n", "bitnetd.yaml:2:17: hardware.isa: expected one of auto, "
                                          "scalar, avx2, avx_vnni, avx512_vnni, neon, got "
                                          "\"avx3\"; did you mean avx2?\n"},
      {model + "log: {level: \"in\\tfo\"}\n",
       "bitnetd.yaml:2:14: log.level: expected one of trace, debug, info, warn, error, critical, "
       "off, got \"in\\tfo\"; did you mean info?\n"},
      {"models: [{name: chat, path: \"a\\0b\"}]\n",
       std::string("bitnetd.yaml:1:29: models[0].path: expected the path of a file, got "
                   "\"a\\x00b\"; it contains control characters\n")},
      {model + "sockets: [{name: f, endpoint: \"ipc://f\", mode: 0440}]\n",
       "bitnetd.yaml:2:48: sockets[0].mode: expected a file mode from 0600 to 0777 that lets the "
       "owner read and write, got 0440\n"},
      {model + "sockets: [{name: f, endpoint: \"ipc://f\", mode: 0670}]\n", ""},
      {model + "sockets: [{name: f, endpoint: \"ipc://f\", kind: pub}]\n",
       "bitnetd.yaml:2:48: sockets[0].kind: expected one of router, xpub, got \"pub\"; did you "
       "mean xpub?\n"},
  }));
  INFO(main);
  CHECK(problems_of(main) == expected);
}

TEST_CASE_METHOD(conf_fixture, "endpoints that cannot or should not be served are refused",
                 "[conf][load]") {
  const auto refusal = [&](const std::string& endpoint) {
    return problems_of(one_model + ("sockets: [{name: f, endpoint: \"" + endpoint + "\"}]\n"));
  };
  const std::string start = "bitnetd.yaml:2:31: sockets[0].endpoint: ";
  const std::string expected = "expected ipc://PATH or tcp://IP:PORT, got ";
  for (const char* address : {"*:5555", "localhost:5555", "127.0.0.1", "127.0.0.1:0", "::1:5555",
                              "127.0.0.1:65536", "127.0.0.1:5555x", "[127.0.0.1]:5555"}) {
    const auto endpoint = "tcp://" + std::string{address};
    CHECK(refusal(endpoint) == start + expected + '"' + endpoint +
                                   "\"; tcp needs a numeric address and a port, as in "
                                   "tcp://127.0.0.1:5797 or tcp://[::1]:5797\n");
  }
  const auto refused = start + expected;
  CHECK(refusal("inproc://x") == refused + "\"inproc://x\"\n");
  CHECK(refusal("front.sock") == refused + "\"front.sock\"\n");
  CHECK(refusal("ipc://") == refused + "\"ipc://\"; the path names no file\n");
  CHECK(refusal("ipc://a/") == refused + "\"ipc://a/\"; the path names no file\n");
  CHECK(refusal("ipc://*") == refused + "\"ipc://*\"; a wildcard is a path that no client knows\n");
  CHECK(refusal("ipc://@x") == refused + "\"ipc://@x\"; an abstract socket has no file mode: every "
                                         "local user could connect\n");
  // 107 bytes fit into sun_path with its final zero, 108 do not.
  CHECK(refusal("ipc:///" + std::string(106, 'x')).empty());
  CHECK(refusal("ipc:///" + std::string(107, 'x')) ==
        refused + "\"ipc:///" + std::string(53, 'x') + "…\"; the path /" + std::string(59, 'x') +
            "… has 108 bytes, the path of a socket at most 107\n");
  CHECK(refusal("ipc://" + std::string(94, 'x')).empty()); // in /run/bitnetd/
  CHECK_FALSE(refusal("ipc://" + std::string(95, 'x')).empty());
}

TEST_CASE_METHOD(conf_fixture, "tcp is served with keys, or on loopback where told to",
                 "[conf][load]") {
  const auto problem = [&](const std::string& endpoint, const std::string& more) {
    const auto text = problems_of(
        one_model + ("sockets: [{name: f, endpoint: \"" + endpoint + "\"" + more + "}]\n"));
    const auto at = text.find("endpoint: ");
    return at == std::string::npos ? text : text.substr(at + 10);
  };
  CHECK(problem("tcp://127.0.0.1:5797", ", curve: true").empty());
  CHECK(problem("tcp://0.0.0.0:5797", ", curve: true").empty());
  CHECK(problem("tcp://[::]:5797", ", curve: true").empty());
  CHECK(problem("tcp://127.1.2.3:5797", ", insecure: true").empty());
  CHECK(problem("tcp://[::1]:5797", ", insecure: true").empty());
  const std::string open = "without curve only loopback is served: anyone who reaches the port "
                           "could send jobs\n";
  for (const char* reachable : {"tcp://0.0.0.0:5797", "tcp://10.0.0.1:5797", "tcp://[::]:5797",
                                "tcp://[::ffff:127.0.0.1]:5797"})
    CHECK(problem(reachable, ", insecure: true") == open);
  CHECK(problem("tcp://127.0.0.1:5797", "") ==
        "tcp needs curve: true (every client has a key: bitnetctl keys), or on loopback insecure: "
        "true\n");
  CHECK(problem("tcp://127.0.0.1:5797", ", curve: true, insecure: true") ==
        "either curve: true or insecure: true\n");
  const auto events = problems_of(
      one_model + std::string{"sockets: [{name: f, endpoint: \"ipc://f\"}, {name: e, kind: xpub, "
                              "endpoint: \"tcp://127.0.0.1:5797\", insecure: true}]\n"});
  CHECK_THAT(events, Catch::Contains("events are served on ipc without curve only"));
}

TEST_CASE_METHOD(conf_fixture, "combinations that cannot work are refused", "[conf][load]") {
  const std::string model = one_model;
  const auto [main, expected] = GENERATE_COPY(table<std::string, std::string>({
      {"log: {}\n", "bitnetd.yaml: models: expected at least one model, such as [{name: chat, "
                    "path: chat.gguf}]\n"},
      {"models: []\n", "bitnetd.yaml:1:9: models: expected at least one model, such as [{name: "
                       "chat, path: chat.gguf}]\n"},
      {"models: [{name: a, path: x}, {name: a, path: y}]\n",
       "bitnetd.yaml:1:37: models[1].name: \"a\" is that of models[0] already\n"},
      {"models: [{name: a, path: x, embedding: true}, {name: b, path: y, embedding: true}]\n",
       "bitnetd.yaml:1:77: models[1].embedding: one model at most computes embeddings; models[0] "
       "(a) does already\n"},
      {model + "sockets: [{name: a, endpoint: \"ipc://x\"}, {name: a, endpoint: \"ipc://y\"}]\n",
       "bitnetd.yaml:2:50: sockets[1].name: \"a\" is that of sockets[0] already\n"},
      {model + "sockets: [{name: a, endpoint: \"ipc://x\"}, {name: b, endpoint: "
               "\"ipc:///run/./bitnetd/x\"}]\n",
       "bitnetd.yaml:2:63: sockets[1].endpoint: \"ipc:///run/bitnetd/x\" is that of sockets[0] "
       "already\n"},
      {model + "sockets: []\n", "bitnetd.yaml:2:10: sockets: expected at least one of kind router, "
                                "or no job could come in\n"},
      {model + "sockets: [{name: e, endpoint: \"ipc://e\", kind: xpub}]\n",
       "bitnetd.yaml:2:10: sockets: expected at least one of kind router, or no job could come "
       "in\n"},
      {model + "hardware: {nodes: [{cpus: [0, 4]}]}\n",
       "bitnetd.yaml:2:27: hardware.nodes[0].cpus: this machine has no CPU 4; it has 0-3\n"},
      {model + "hardware: {nodes: [{cpus: [0, 1]}, {cpus: [1]}]}\n",
       "bitnetd.yaml:2:43: hardware.nodes[1].cpus: CPU 1 stands in hardware.nodes[0] already; a "
       "CPU belongs to one node\n"},
      {model + "hardware: {nodes: [{cpus: [2, 2]}]}\n",
       "bitnetd.yaml:2:27: hardware.nodes[0].cpus: CPU 2 stands in hardware.nodes[0] already; a "
       "CPU belongs to one node\n"},
      {model + "hardware: {nodes: [{cpus: []}]}\n",
       "bitnetd.yaml:2:27: hardware.nodes[0].cpus: expected a list of CPU numbers such as [0, 1], "
       "got a list; a node without CPUs computes nothing\n"},
      {model + "hardware: {nodes: [{cpus: [0], memory_node: 1}]}\n",
       "bitnetd.yaml:2:45: hardware.nodes[0].memory_node: this machine has no memory node 1; it "
       "has 0\n"},
      {model + "hardware: {isa: avx512_vnni}\n",
       "bitnetd.yaml:2:17: hardware.isa: the CPU of this machine lacks avx512_vnni; it has auto, "
       "scalar, avx2, neon\n"},
      {model + "hardware: {isa: avx2}\n", ""},
      {model + "hardware: {kv_bytes: 9GiB}\n",
       "bitnetd.yaml:2:22: hardware.kv_bytes: 9GiB for each of 1 pool (workers times models) is "
       "more than the 8192MiB of this machine\n"},
      {model + "hardware: {kv_bytes: 5GiB, nodes: [{cpus: [0]}, {cpus: [1]}]}\n",
       "bitnetd.yaml:2:22: hardware.kv_bytes: 5GiB for each of 2 pools (workers times models) is "
       "more than the 8192MiB of this machine\n"},
      {model + "hardware: {kv_bytes: 4GiB, nodes: [{cpus: [0]}, {cpus: [1]}]}\n", ""},
      {model + "limits: {open_bytes: 1MiB}\n",
       "bitnetd.yaml:2:22: limits.open_bytes: limits.body_bytes (8MiB) is above limits.open_bytes "
       "(1MiB): the largest message could never come in\n"},
  }));
  INFO(main);
  // A problem is placed at the key that was written, whichever of the two it is.
  CHECK(problems_of(main) == expected);
}

TEST_CASE_METHOD(conf_fixture, "mistakes in a profile name the profile's file", "[conf][load]") {
  const auto [profile, expected] = GENERATE(table<std::string, std::string>({
      {"batch: {max_token: 5}\n",
       "profiles/balanced.yaml:1:9: batch.max_token: unknown key; did you mean max_tokens?\n"},
      {"classes:\n  interactve: {weight: 2}\n",
       "profiles/balanced.yaml:2:3: classes.interactve: unknown key; did you mean interactive?\n"},
      {"classes: {batch: {weight: 0}}\n",
       "profiles/balanced.yaml:1:27: classes.batch.weight: expected a whole number from 1 to 1000, "
       "got 0\n"},
      {"phases: {cache: maybe}\n",
       "profiles/balanced.yaml:1:17: phases.cache: expected true or false, got \"maybe\"\n"},
      {"cache: {threshold: 1.5}\n",
       "profiles/balanced.yaml:1:20: cache.threshold: expected a number from 0 to 1, got 1.5\n"},
      {"cache: {threshold: \"0,9\"}\n",
       "profiles/balanced.yaml:1:20: cache.threshold: expected a number from 0 to 1, got \"0,9\"; "
       "quotes make it text\n"},
      {"cache: {mode: yes}\n", "profiles/balanced.yaml:1:15: cache.mode: expected one of off, "
                               "exact, shadow, on, got \"yes\"\n"},
      {"batch: {max_sequences: 64, max_tokens: 32}\nchunk: {prefill_tokens: 16}\n",
       "profiles/balanced.yaml:1:24: batch.max_sequences: batch.max_sequences (64) is above "
       "batch.max_tokens (32): each sequence of a step takes at least one of its rows\n"},
      {"batch: {max_tokens: 64}\n",
       "profiles/balanced.yaml:1:21: batch.max_tokens: chunk.prefill_tokens (128) is above "
       "batch.max_tokens (64): a chunk is part of one step\n"},
      {"sampling: {max_tokens: 5000}\n",
       "profiles/balanced.yaml:1:24: sampling.max_tokens: sampling.max_tokens (5000) is above "
       "limits.max_tokens (4096): every job that does not say would be refused\n"},
      {"cache: {mode: on}\n", "profiles/balanced.yaml:1:15: cache.mode: on needs a model with "
                              "embedding: true; exact works without\n"},
      {"limits: {open_jobs: 5}\n", "profiles/balanced.yaml:1:10: limits.open_jobs: belongs in "
                                   "bitnetd.yaml, not in a profile\n"},
      {"models: [{name: b, path: c}]\n",
       "profiles/balanced.yaml:1:1: models: belongs in bitnetd.yaml, not in a profile\n"},
      {"a: [\n", "profiles/balanced.yaml:2:1: a list opened with [ is never closed with ]\n"},
      {" ", "profiles/balanced.yaml:1:1: the file is empty; write {} to mean that every default "
            "holds\n"},
      // A bad value elsewhere is no reason for a second complaint.
      {"batch: {max_tokens: few}\nchunk: {prefill_tokens: 600}\n",
       "profiles/balanced.yaml:1:21: batch.max_tokens: expected a whole number from 1 to 65536, "
       "got \"few\"\n"},
  }));
  INFO(profile);
  CHECK(problems_of(one_model, profile) == expected);
}

TEST_CASE_METHOD(conf_fixture, "a key in two files, or in the wrong one, is refused",
                 "[conf][load]") {
  CHECK(problems_of(one_model + std::string{"batch: {max_tokens: 256}\n"}, "{}\n") ==
        "bitnetd.yaml:2:9: batch.max_tokens: belongs in the profile, profiles/balanced.yaml\n");
  CHECK(problems_of(one_model + std::string{"cache: {mode: off, max_bytes: 5MiB}\n"},
                    "cache: {ttl: 1h, mode: exact}\n") ==
        "bitnetd.yaml:2:9: cache.mode: stands in profiles/balanced.yaml:1 too; a key stands in one "
        "file, this one in the profile\n");
  CHECK(problems_of(one_model + std::string{"log: {level: warn}\n"}, "log: {level: info}\n") ==
        "profiles/balanced.yaml:1:7: log.level: stands in bitnetd.yaml:2 too; a key stands in one "
        "file, this one in bitnetd.yaml\n");
}

TEST_CASE_METHOD(conf_fixture, "all problems of both files are reported at once, in order",
                 "[conf][load]") {
  CHECK(problems_of("limts: 1\n"
                    "models:\n"
                    "  - {name: a, path: x, embedding: perhaps}\n"
                    "  - {name: a}\n"
                    "log: {level: &x loud}\n"
                    "hardware: {isa: avx9, nodes: [{cpus: [9]}]}\n",
                    "threads: -1\n"
                    "sampling: {temperature: hot}\n") ==
        "bitnetd.yaml:1:1: limts: unknown key; did you mean limits?\n"
        "bitnetd.yaml:3:35: models[0].embedding: expected true or false, got \"perhaps\"\n"
        "bitnetd.yaml:4:5: models[1]: the key path is missing; expected the path of a file\n"
        "bitnetd.yaml:4:12: models[1].name: \"a\" is that of models[0] already\n"
        "bitnetd.yaml:5:14: anchors are not supported; write the value out where it is needed\n"
        "bitnetd.yaml:5:14: log.level: expected one of trace, debug, info, warn, error, critical, "
        "off, got \"loud\"\n"
        "bitnetd.yaml:6:17: hardware.isa: expected one of auto, scalar, avx2, avx_vnni, "
        "avx512_vnni, neon, got "
        "\"avx9\"; did you mean avx2?\n"
        "bitnetd.yaml:6:38: hardware.nodes[0].cpus: this machine has no CPU 9; it has 0-3\n"
        "profiles/balanced.yaml:1:10: threads: expected a whole number from 0 to 1024, got -1\n"
        "profiles/balanced.yaml:2:25: sampling.temperature: expected a number from 0 to 100, got "
        "\"hot\"\n");
}

TEST_CASE_METHOD(conf_fixture, "thousands of mistakes end after a hundred", "[conf][load]") {
  std::string main = one_model;
  for (int i = 0; i < 5000; ++i)
    main += "bad_key_" + std::to_string(i) + ": 1\n";
  const auto result = load_text(main);
  REQUIRE(result.problems.size() == 101);
  CHECK(result.problems.back().message == "and 4900 more problems");
}

TEST_CASE_METHOD(conf_fixture, "the active profile is the one that is named", "[conf][load]") {
  directory.write("profiles/eco.yaml", "threads: 1\n");
  directory.write("profiles/fast.yaml", "threads: 2\n");
  directory.write("profiles/notes.txt", "no profile\n");
  const auto file = directory.write("bitnetd.yaml", one_model + std::string{"profile: eco\n"});
  const auto loaded = [&](const std::optional<std::string>& name) {
    return load(file, some_directories(), small_machine(), name);
  };
  CHECK(loaded({}).value.value().profile.threads == 1);
  CHECK(loaded({}).value.value().profile.name == "eco");
  CHECK(loaded("fast").value.value().profile.threads == 2);
  CHECK(loaded("fast").value.value().profile.name == "fast");
  CHECK(shortened(text(loaded("fsat").problems)) ==
        "bitnetd.yaml: profile: no profile \"fsat\"; did you mean fast? there are eco, fast in "
        "profiles\n");
  CHECK(shortened(text(loaded("../eco").problems)) ==
        "bitnetd.yaml: profile: no profile \"../eco\"; there are eco, fast in profiles\n");
  CHECK(problems_of(one_model + std::string{"profile: turbo\n"}) ==
        "bitnetd.yaml:2:10: profile: no profile \"turbo\"; there are eco, fast in profiles\n");
  // A profile that nobody named may be missing, one that is named may not.
  CHECK(problems_of(one_model).empty());
  CHECK(problems_of(one_model + std::string{"profile: balanced\n"}) ==
        "bitnetd.yaml:2:10: profile: no profile \"balanced\"; there are eco, fast in profiles\n");
  CHECK(problems_of(one_model + std::string{"profile: [eco]\n"}) ==
        "bitnetd.yaml:2:10: profile: expected a name (a letter or digit, then letters, digits and "
        ". _ - : @ +, at most 64), got a list\n");
}

TEST_CASE_METHOD(conf_fixture, "sections whose keys are all commented out are empty",
                 "[conf][load]") {
  const auto result = load_text(one_model + std::string{"limits:\n  #open_jobs: 5\nsockets:\n"
                                                        "hardware:\n  nodes:\ncache: ~\nlog: {}\n"},
                                "batch:\nclasses:\n  normal:\n");
  CHECK(text(result.problems) == "");
  REQUIRE(result.value);
  CHECK(result.value->sockets.size() == 3);
}

TEST_CASE_METHOD(conf_fixture, "files that cannot be read are one clear problem", "[conf][load]") {
  const auto problems = [&](const std::filesystem::path& file) {
    return shortened(text(load(file, some_directories(), small_machine()).problems));
  };
  CHECK(problems(directory.path() / "none.yaml") == "none.yaml: no such file\n");
  std::filesystem::create_directory(directory.path() / "dir.yaml");
  CHECK(problems(directory.path() / "dir.yaml") == "dir.yaml: a directory, not a file\n");
  REQUIRE(::mkfifo((directory.path() / "pipe.yaml").c_str(), 0600) == 0);
  CHECK(problems(directory.path() / "pipe.yaml") == "pipe.yaml: not a regular file\n");
  CHECK(problems("/dev/zero") == "/dev/zero: not a regular file\n");
  const auto large = directory.write("large.yaml", one_model + std::string(1u << 20, '\n'));
  CHECK(problems(large) == "large.yaml: larger than 256 KiB\n");
  directory.write("profiles/balanced.yaml", std::string((1u << 20) + 1, '#'));
  CHECK(problems_of(one_model) == "profiles/balanced.yaml: larger than 256 KiB\n");
  if (::geteuid() != 0) { // root may read everything
    std::filesystem::permissions(large, std::filesystem::perms::none);
    CHECK(problems(large) == "large.yaml: Permission denied\n");
  }
}

TEST_CASE_METHOD(conf_fixture, "what the machine does not tell is not checked", "[conf][load]") {
  const auto file = directory.write(
      "bitnetd.yaml",
      one_model +
          std::string{
              "hardware: {kv_bytes: 1TiB, isa: neon, nodes: [{cpus: [900], memory_node: 7}]}\n"});
  CHECK(load(file, some_directories(), machine{}).problems.empty());
}

TEST_CASE_METHOD(conf_fixture, "default sockets in too long a directory are refused",
                 "[conf][load]") {
  auto where = some_directories();
  where.runtime = '/' + std::string(100, 'r');
  const auto file = directory.write("bitnetd.yaml", one_model);
  CHECK(load(file, where, small_machine()).problems.size() == 3);
  directory.write("bitnetd.yaml",
                  one_model + std::string{"sockets: [{name: f, endpoint: \"ipc:///f\"}]\n"});
  CHECK(load(file, where, small_machine()).problems.empty());
}
