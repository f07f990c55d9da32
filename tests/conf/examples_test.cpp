// SPDX-License-Identifier: MIT
#include "conf/diff.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

using namespace bitnetd::conf;

namespace {

const std::filesystem::path shipped = std::filesystem::path{BITNETD_SOURCE_DIR} / "conf";

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file);
  REQUIRE(in);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// "#key: value" becomes "key: value"; "# prose" stays a comment.
std::string uncommented(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.find_first_not_of(' ');
    if (at != std::string::npos && line[at] == '#' && at + 1 < line.size() && line[at + 1] != ' ')
      line.erase(at, 1);
    out += line + '\n';
  }
  return out;
}

load_result load_shipped(const std::string& profile) {
  return load(shipped / "bitnetd.yaml", some_directories(), small_machine(), profile);
}

// models[1].name -> models[].name
std::string pattern(const std::string& path) {
  const auto open = path.find('['), close = path.find(']');
  return open == std::string::npos ? path : path.substr(0, open + 1) + path.substr(close);
}

} // namespace

TEST_CASE("every key stands in the shipped files, and the commented ones show the defaults",
          "[conf][examples]") {
  const auto profile =
      GENERATE(as<std::string>{}, "balanced", "latency", "throughput", "eco", "demo");
  INFO(profile);
  const temporary_directory copy;
  const auto main = contents(shipped / "bitnetd.yaml");
  const auto tuned = contents(shipped / "profiles" / (profile + ".yaml"));
  copy.write("profiles/" + profile + ".yaml", uncommented(tuned));
  const auto result = load(copy.write("bitnetd.yaml", uncommented(main)), some_directories(),
                           small_machine(), profile);
  CHECK(text(result.problems) == "");
  REQUIRE(result.value);

  std::set<std::string> named;
  for (const auto& [path, where] : result.places)
    named.insert(pattern(path));
  for (const auto& k : all_keys()) {
    INFO(k.path);
    CHECK(named.contains(std::string{k.path}));
  }

  // Taking the comments away changes nothing: each shows the default. Only the nodes, a socket
  // with keys and a principal are examples.
  const auto as_shipped = load_shipped(profile);
  REQUIRE(as_shipped.value);
  CHECK(as_shipped.value->hardware.nodes.empty());
  auto without_nodes = *result.value;
  without_nodes.hardware.nodes.clear();
  without_nodes.sockets = as_shipped.value->sockets;
  CHECK(as_shipped.value->principals.empty());
  without_nodes.principals.clear();
  for (std::size_t i = 0; i < without_nodes.models.size(); ++i) // their place differs
    without_nodes.models[i].path = as_shipped.value->models[i].path;
  for (const auto& c : difference(*as_shipped.value, without_nodes))
    FAIL_CHECK(c.text());
}

TEST_CASE("the shipped values differ from the defaults only where they mean to",
          "[conf][examples]") {
  const auto [profile, meant] = GENERATE(table<std::string, std::set<std::string>>({
      {"balanced", {}},
      {"latency",
       {"batch.max_sequences", "batch.max_tokens", "chunk.prefill_tokens", "targets.step",
        "targets.first_token", "classes.interactive.weight", "classes.interactive.max_wait"}},
      {"throughput",
       {"batch.max_sequences", "batch.max_tokens", "chunk.prefill_tokens", "targets.step",
        "targets.first_token", "classes.interactive.weight", "classes.interactive.max_wait",
        "classes.batch.weight"}},
      {"eco",
       {"batch.max_sequences", "batch.max_tokens", "chunk.prefill_tokens", "targets.step",
        "targets.first_token", "threads", "cache.ttl"}},
      {"demo", {"cache.mode", "cache.threshold", "cache.trust"}},
  }));
  INFO(profile);
  const auto result = load_shipped(profile);
  CHECK(text(result.problems) == "");
  REQUIRE(result.value);
  std::set<std::string> differ;
  for (const auto& k : all_keys())
    if (k.list().empty() && k.path != "profile" && render(*result.value, k) != default_text(k))
      differ.insert(std::string{k.path});
  CHECK(differ == meant);
}

TEST_CASE("the shipped bitnetd.yaml has the default sockets, shadow mode and installed models",
          "[conf][examples]") {
  const auto result = load(shipped / "bitnetd.yaml", some_directories(), small_machine());
  REQUIRE(result.value);
  const auto& c = *result.value;
  CHECK(c.profile.name == "balanced");
  CHECK(c.profile.cache.mode == cache_mode::shadow);
  REQUIRE(c.models.size() == 2);
  CHECK(c.models[0].path == "/usr/share/bitnetd/models/bitnetd-chat.gguf");
  CHECK(c.models[1].path == "/usr/share/bitnetd/models/bitnetd-embed.gguf");
  CHECK(c.models[1].embedding);
  auto defaults = c;
  defaults.sockets = default_sockets("/run/bitnetd");
  CHECK(difference(c, defaults).empty());
}

TEST_CASE("the demo uses the models of the source tree and the similarity cache",
          "[conf][examples]") {
  const auto result = load(shipped / "demo.yaml", some_directories(), small_machine());
  CHECK(text(result.problems) == "");
  REQUIRE(result.value);
  const auto& c = *result.value;
  CHECK(c.models.at(0).path == shipped.parent_path() / "models/bitnetd-chat.gguf");
  CHECK(c.models.at(1).path == shipped.parent_path() / "models/bitnetd-embed.gguf");
  CHECK(c.profile.name == "demo");
  CHECK(c.profile.cache.mode == cache_mode::on);
  CHECK(c.profile.cache.threshold == 0.9);
  auto defaults = c;
  defaults.sockets = default_sockets("/run/bitnetd");
  CHECK(difference(c, defaults).empty());
}
