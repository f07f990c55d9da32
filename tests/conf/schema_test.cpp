// SPDX-License-Identifier: MIT
#include "conf/schema.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

using namespace bitnetd::conf;

namespace {

/// The two files, with one key set to `text`.
struct written {
  std::string main = one_model, profile = "{}\n";
};

written set_key(const key& k, const std::string& text) {
  written out;
  const auto leaf = std::string{k.leaf()} + ": " + text;
  if (k.list() == "models") {
    const auto others = k.leaf() == "name"   ? "path: x.gguf, "
                        : k.leaf() == "path" ? "name: chat, "
                                             : "name: chat, path: x.gguf, ";
    out.main = std::string{"models: [{"}.append(others) + leaf + "}]\n";
  } else if (k.list() == "sockets") {
    const auto others = k.leaf() == "name"       ? "endpoint: \"ipc://a\", "
                        : k.leaf() == "endpoint" ? "name: front, "
                                                 : "name: front, endpoint: \"ipc://a\", ";
    out.main +=
        "sockets: [{" + std::string{others} + leaf + "}, {name: other, endpoint: \"ipc://o\"}]\n";
  } else if (k.list() == "principals") {
    out.main +=
        "principals: [{" + std::string{k.leaf() == "name" ? "" : "name: someone, "} + leaf + "}]\n";
  } else if (k.list() == "hardware.nodes") {
    out.main +=
        std::string{"hardware: {nodes: [{"}.append(k.leaf() == "cpus" ? "" : "cpus: [3], ") + leaf +
        "}]}\n";
  } else {
    // limits.body_bytes -> limits: {body_bytes: …}
    std::string path{k.path}, closing;
    for (auto dot = path.find('.'); dot != std::string::npos; dot = path.find('.')) {
      path.replace(dot, 1, ": {");
      closing += '}';
    }
    (k.stands_in == home::main ? out.main : out.profile) =
        (k.stands_in == home::main ? out.main : "") + path + ": " + text + closing + '\n';
  }
  return out;
}

std::string concrete(const key& k) {
  if (k.list().empty())
    return std::string{k.path};
  return std::string{k.list()}.append("[0].").append(k.leaf());
}

/// Messages about this key's value, without those about combinations.
std::vector<std::string> refusals(const conf_fixture& files, const key& k,
                                  const std::string& text) {
  const auto [main, profile] = set_key(k, text);
  std::vector<std::string> out;
  for (const auto& p : files.load_text(main, profile).problems)
    if (p.path == concrete(k) && p.message.starts_with("expected "))
      out.push_back(p.message);
  return out;
}

bool is_numeric(const key& k) {
  return k.type == value_type::whole || k.type == value_type::size ||
         k.type == value_type::duration || k.type == value_type::real;
}

std::string plain(const key& k, double number) {
  return k.type == value_type::real ? write_value(number, k.type, "")
                                    : std::to_string(static_cast<std::int64_t>(number));
}

/// A valid value that is not the default, as one would write it, and as render() shows it.
std::pair<std::string, std::string> other_value(const key& k) {
  config defaults;
  for (const auto& list : all_lists())
    list.resize(defaults, 1);
  const auto now = k.field.get(defaults, 0);
  switch (k.type) {
  case value_type::boolean:
    return std::get<bool>(now) ? std::pair{"off", "false"} : std::pair{"yes", "true"};
  case value_type::whole:
    if (std::holds_alternative<std::monostate>(now))
      return {"0", "0"};
    return {std::to_string(std::get<std::int64_t>(now) + 1),
            std::to_string(std::get<std::int64_t>(now) + 1)};
  case value_type::real: {
    const double halved = std::get<double>(now) > 0.001 ? std::get<double>(now) / 2 : 0.25;
    return {write_value(halved, k.type, ""), write_value(halved, k.type, "")};
  }
  case value_type::size: { // no larger unit fits an odd number of KiB
    const auto more = std::to_string(std::get<std::int64_t>(now) / 1024 + 1);
    return {more + " KiB", more + "KiB"};
  }
  case value_type::duration:
    return {"7", std::string{"7"}.append(k.unit)};
  case value_type::word: {
    const auto other = std::string{
        std::get<std::string>(now) == k.choices.front() ? k.choices.back() : k.choices.front()};
    return {other, other};
  }
  case value_type::name:
    // A profile must exist beside the file.
    return k.path == "profile" ? std::pair{"balanced", "balanced"}
                               : std::pair{"another:one", "another:one"};
  case value_type::optional_name:
    return {"llama-3", "llama-3"};
  case value_type::file_path:
    return {"\"/srv/other.gguf\"", "/srv/other.gguf"};
  case value_type::endpoint:
    return {"\"ipc:///srv/x.sock\"", "ipc:///srv/x.sock"};
  case value_type::file_mode:
    return {"700", "0700"};
  case value_type::cpu_list:
    return {"[2, 1]", "[2, 1]"};
  }
  throw std::logic_error("a type that this test does not know");
}

} // namespace

TEST_CASE("every key reaches its own field and no other", "[conf][schema]") {
  for (const auto& k : all_keys()) {
    const auto [text, shown] = other_value(k);
    INFO(k.path << ": " << text);
    const conf_fixture files;
    const auto [main, profile] = set_key(k, text);
    const auto result = files.load_text(main, profile);
    CHECK(bitnetd::conf::text(result.problems) == "");
    REQUIRE(result.value);
    CHECK(render(*result.value, k) == shown);
    // All other plain keys keep their defaults.
    for (const auto& other : all_keys())
      if (other.list().empty() && other.path != k.path) {
        INFO(other.path);
        CHECK(render(*result.value, other) == default_text(other));
      }
  }
}

TEST_CASE("every numeric key refuses what lies outside its bounds and takes what lies on them",
          "[conf][schema]") {
  const conf_fixture files;
  for (const auto& k : all_keys()) {
    if (!is_numeric(k))
      continue;
    INFO(k.path);
    const double step = k.type == value_type::real ? 0.0005 : 1;
    CHECK(refusals(files, k, plain(k, k.min)).empty());
    CHECK(refusals(files, k, plain(k, k.max)).empty());
    CHECK(refusals(files, k, plain(k, k.min - step)).size() == 1);
    CHECK(refusals(files, k, plain(k, k.max + step)).size() == 1);
    CHECK(refusals(files, k, "18446744073709551616").size() == 1); // 2^64
    CHECK(refusals(files, k, "-1").size() == 1);
  }
}

TEST_CASE("every key refuses values of the wrong kind and says what it wants", "[conf][schema]") {
  const conf_fixture files;
  for (const auto& k : all_keys()) {
    INFO(k.path);
    const auto wanted = "expected " + expectation(k) + ", got ";
    if (is_numeric(k) || k.type == value_type::boolean || k.type == value_type::file_mode ||
        k.type == value_type::cpu_list || k.type == value_type::word ||
        k.type == value_type::endpoint)
      CHECK(refusals(files, k, "many").at(0).starts_with(wanted + "\"many\""));
    if (k.type == value_type::whole || k.type == value_type::real)
      CHECK(refusals(files, k, "\"5\"").at(0) == wanted + "\"5\"; quotes make it text");
    if (k.type == value_type::whole)
      CHECK(refusals(files, k, "1.5").at(0) == wanted + "1.5");
    if (k.type == value_type::file_path)
      CHECK(refusals(files, k, "\"\"").at(0) == wanted + "\"\"");
    if (k.type == value_type::name)
      CHECK(refusals(files, k, "\"a b\"").at(0) == wanted + "\"a b\"");
    if (k.type == value_type::cpu_list)
      CHECK(refusals(files, k, "[x]").at(0) == wanted + "a list; one of them is \"x\"");
    else
      CHECK(refusals(files, k, "[1]").at(0) == wanted + "a list");
    CHECK(refusals(files, k, "null").at(0) == wanted + "nothing");
    CHECK(refusals(files, k, "{a: 1}").at(0) == wanted + "a mapping");
  }
}

TEST_CASE("bounds fit their fields, and defaults their bounds", "[conf][schema]") {
  config c;
  for (const auto& list : all_lists())
    list.resize(c, 1);
  for (const auto& k : all_keys()) {
    if (!is_numeric(k))
      continue;
    INFO(k.path);
    const auto now = k.field.get(c, 0);
    if (const auto* whole = std::get_if<std::int64_t>(&now)) {
      CHECK(static_cast<double>(*whole) >= k.min);
      CHECK(static_cast<double>(*whole) <= k.max);
    }
    const value most =
        k.type == value_type::real ? value{k.max} : value{static_cast<std::int64_t>(k.max)};
    k.field.set(c, 0, most);
    CHECK(k.field.get(c, 0) == most); // a narrower field would wrap
  }
}

TEST_CASE("paths are unique, and every key says what it means", "[conf][schema]") {
  std::set<std::string_view> paths;
  for (const auto& k : all_keys()) {
    INFO(k.path);
    CHECK(paths.insert(k.path).second);
    CHECK(k.about.size() > 8);
    CHECK(k.list().empty() == (k.path.find("[]") == std::string_view::npos));
    if (!k.list().empty())
      CHECK(find_list(k.list()) != nullptr);
    CHECK(find_key(k.path) == &k);
  }
  CHECK(find_key("limits.bodi_bytes") == nullptr);
  CHECK(find_list("model") == nullptr);
}

TEST_CASE("scopes are those that operators were promised", "[conf][schema]") {
  const auto acts = [](const char* path) { return find_key(path)->acts; };
  for (const auto* path : {"batch.max_tokens", "chunk.prefill_tokens", "targets.step", "threads",
                           "classes.batch.weight", "cache.threshold", "cache.ttl", "log.level"})
    CHECK(acts(path) == scope::step);
  for (const auto* path : {"sampling.temperature", "cache.mode", "limits.max_tokens"})
    CHECK(acts(path) == scope::job);
  for (const auto* path : {"models[].path", "models[].embedding"})
    CHECK(acts(path) == scope::model);
  for (const auto* path : {"sockets[].endpoint", "hardware.kv_bytes", "hardware.nodes[].cpus"})
    CHECK(acts(path) == scope::restart);
}

TEST_CASE("the table is printed with a row per key", "[conf][schema]") {
  const auto markdown = schema_markdown();
  CHECK(static_cast<std::size_t>(std::count(markdown.begin(), markdown.end(), '\n')) ==
        all_keys().size() + 2);
  CHECK(markdown.find("| `limits.body_bytes` | bitnetd.yaml | size | bytes | 1KiB to 64MiB | "
                      "`8MiB` | job | largest body of one message |") != std::string::npos);
  const auto json = schema_json();
  CHECK(json.find(R"({"path":"hardware.isa","file":"bitnetd.yaml","type":"word","unit":"",)"
                  R"("bounds":"auto, scalar, avx2, avx_vnni, avx512_vnni, neon",)"
                  R"("choices":["auto","scalar","avx2","avx_vnni","avx512_vnni","neon"],"required":false,)"
                  R"("default":"auto","scope":"restart",)") != std::string::npos);
  CHECK(json.find(R"x("default":"\"\"")x") != std::string::npos); // template
}
