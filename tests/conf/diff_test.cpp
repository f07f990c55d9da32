// SPDX-License-Identifier: MIT
#include "conf/diff.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd::conf;

namespace {

std::string changes(const config& before, const config& after) {
  std::string out;
  for (const auto& c : difference(before, after))
    out += c.text() + '\n';
  return out;
}

config example() {
  config c;
  c.models = {{"chat", "/m/chat.gguf", "", false}, {"embed", "/m/embed.gguf", "", true}};
  c.sockets = default_sockets("/run");
  return c;
}

} // namespace

TEST_CASE("equal configurations have no difference, whatever their version", "[conf][diff]") {
  auto other = example();
  other.version = 7;
  other.file = "/elsewhere";
  CHECK(changes(example(), other).empty());
}

TEST_CASE("changed keys are listed with old and new value and when they act", "[conf][diff]") {
  auto other = example();
  other.limits.body_bytes = 1 << 20;
  other.profile.batch.max_tokens = 256;
  other.profile.cache.mode = cache_mode::on;
  other.profile.classes["normal"].max_wait = seconds{90};
  other.profile.phases.checks = false;
  other.hardware.kv_type = "f32";
  CHECK(changes(example(), other) == "hardware.kv_type: f16 -> f32 (restart)\n"
                                     "limits.body_bytes: 8MiB -> 1MiB (job)\n"
                                     "batch.max_tokens: 512 -> 256 (step)\n"
                                     "classes.normal.max_wait: 60s -> 90s (step)\n"
                                     "cache.mode: shadow -> on (job)\n"
                                     "phases.checks: true -> false (job)\n");
}

TEST_CASE("models and sockets are compared by name, nodes as a whole", "[conf][diff]") {
  auto other = example();
  std::swap(other.models[0], other.models[1]);
  CHECK(changes(example(), other).empty()); // their order means nothing
  other.models[0].path = "/m/better.gguf";  // embed
  other.models[1] = {"small", "/m/small.gguf", "llama-3", false, "lanes16", "none", "base3"};
  other.sockets[0].mode = 0600;
  other.sockets.pop_back();
  other.hardware.nodes = {{{0, 1}, 0}, {{2}, {}}};
  CHECK(changes(example(), other) ==
        "models.chat: {name: chat, path: /m/chat.gguf, template: \"\", embedding: false, "
        "i2s_layout: common, activations: model, weights: two_bits} -> nothing (model)\n"
        "models.embed: {name: embed, path: /m/embed.gguf, template: \"\", embedding: true, "
        "i2s_layout: common, activations: model, weights: two_bits} -> {name: embed, path: "
        "/m/better.gguf, "
        "template: \"\", embedding: true, i2s_layout: common, activations: model, weights: "
        "two_bits} (model)\n"
        "models.small: nothing -> {name: small, path: /m/small.gguf, template: llama-3, "
        "embedding: false, i2s_layout: lanes16, activations: none, weights: base3} (model)\n"
        "sockets.events: {name: events, endpoint: ipc:///run/events.sock, kind: xpub, principal: "
        "local, may: read, mode: 0660, curve: false, insecure: false} -> nothing (restart)\n"
        "sockets.front: {name: front, endpoint: ipc:///run/front.sock, kind: router, principal: "
        "local, may: submit, mode: 0660, curve: false, insecure: false} -> {name: front, endpoint: "
        "ipc:///run/front.sock, kind: router, principal: local, may: submit, mode: 0600, curve: "
        "false, insecure: false} (restart)\n"
        "hardware.nodes: [] -> [{cpus: [0, 1], memory_node: 0}, {cpus: [2]}] (restart)\n");
}

TEST_CASE("clients' keys are compared by principal", "[conf][diff]") {
  auto before = example(), after = example();
  before.client_keys = {{"K1", "alice"}, {"K2", "alice"}, {"K3", "bob"}};
  after.client_keys = {{"K2", "alice"}, {"K3", "bob"}, {"K4", "carol"}};
  CHECK(changes(before, after) == "clients.alice: K1 K2 -> K2 (job)\n"
                                  "clients.carol: nothing -> K4 (job)\n");
}

TEST_CASE("what needs a restart is held back, all else goes through", "[conf][diff]") {
  auto next = example();
  for (const auto& list : all_lists())
    list.resize(next, 1);
  next.models[0].path = "/m/other.gguf";
  next.hardware.isa = "scalar";
  next.hardware.nodes[0].cpus = {0};
  next.profile.threads = 2;
  const auto applied = without_restart(next, example());
  CHECK(applied.sockets.size() == 3);
  CHECK(applied.hardware.isa == "auto");
  CHECK(applied.hardware.nodes.empty());
  CHECK(applied.models.size() == 1);
  CHECK(applied.models[0].path == "/m/other.gguf");
  CHECK(applied.profile.threads == 2);
  for (const auto& c : difference(example(), applied))
    CHECK(c.acts != scope::restart);
}
