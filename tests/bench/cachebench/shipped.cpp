// SPDX-License-Identifier: MIT
#include "tests/bench/cachebench/shipped.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <map>
#include <stdexcept>

namespace bitnetd::bench {
namespace {

using nlohmann::json;

json read(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in)
    throw std::runtime_error(path.string() + ": cannot be opened");
  try {
    return json::parse(in);
  } catch (const json::exception& error) {
    throw std::runtime_error(path.string() + ": " + error.what());
  }
}

sense sense_of(std::string name, std::string kind, std::vector<std::string> wordings) {
  sense out;
  out.name = std::move(name);
  out.kind = std::move(kind);
  out.wordings = std::move(wordings);
  return out;
}

} // namespace

family_file shipped_families(const std::filesystem::path& models) {
  std::map<std::string, std::vector<std::string>> topics;
  std::vector<std::string> alone;
  for (const auto* set : {"first", "second", "third"}) {
    const auto all = read(models / "heldout" / (std::string(set) + ".json"));
    for (const auto& [topic, wordings] : all.at("topics").items())
      for (const auto& one : wordings)
        topics[topic].push_back(one.get<std::string>());
    for (const auto& one : all.at("out_of_scope"))
      alone.push_back(one.get<std::string>());
  }
  family_file out;
  for (auto& [topic, wordings] : topics)
    out.families.push_back({topic, {}, {sense_of("asked", {}, std::move(wordings))}});
  const auto pairs = read(models / "heldout" / "pairs.json");
  for (const auto& pair : pairs.at("pairs")) {
    const auto kind = pair.at("kind").get<std::string>();
    const auto a = pair.at("a").get<std::string>(), b = pair.at("b").get<std::string>();
    family one{"pair: " + a, {}, {}};
    if (kind == "same") {
      one.senses = {sense_of("both", {}, {a, b})};
    } else {
      one.senses = {sense_of("one", {}, {a}), sense_of("other", kind, {b})};
    }
    out.families.push_back(std::move(one));
  }
  for (auto& question : alone)
    out.families.push_back({"alone: " + question, {}, {sense_of("asked", {}, {question})}});
  return out;
}

} // namespace bitnetd::bench
