// SPDX-License-Identifier: MIT
#include "actors/token_query.h"
#include "tests/actors/tiny_models.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bitnetd;
using namespace bitnetd::actors;
using namespace bitnetd::actors::testing;

namespace {

token_query words_query(std::string text) {
  token_query out;
  out.text = std::move(text);
  return out;
}

token_query ids_query(std::vector<engine::token_id> tokens) {
  token_query out;
  out.tokens = std::move(tokens);
  out.has_tokens = true;
  return out;
}

nlohmann::json tokens_told(const token_query& what) {
  const auto said = tokens_of(what, both_models());
  REQUIRE(std::holds_alternative<std::string>(said));
  return nlohmann::json::parse(std::get<std::string>(said));
}

failure tokens_refused(const token_query& what, const model_set& models = both_models()) {
  const auto said = tokens_of(what, models);
  REQUIRE(std::holds_alternative<failure>(said));
  return std::get<failure>(said);
}

} // namespace

TEST_CASE("a text's tokens have that text again", "[actors][tokens]") {
  for (const char* text : {"", "hello there", "Gr\u00fc\u00dfe \U0001F600", "<|end_of_text|>"}) {
    INFO(text);
    const auto said = tokens_told(words_query(text));
    CHECK(said["model"] == "chat");
    CHECK(said["n"] == said["tokens"].size());
    CHECK(said["text"] == text);
    const auto back = tokens_told(ids_query(said["tokens"]));
    CHECK(back["text"] == text);
    CHECK(back["tokens"] == said["tokens"]);
  }
}

TEST_CASE("a part of a character is told as U+FFFD", "[actors][tokens]") {
  const auto whole = tokens_told(words_query("\u00fc"))["tokens"];
  REQUIRE(whole.size() == 2); // this vocabulary has one token a byte
  CHECK(tokens_told(ids_query({whole[0]}))["text"] == "\ufffd");
}

TEST_CASE("tokens are asked of a model that is loaded, and has them", "[actors][tokens]") {
  auto other = words_query("x");
  other.model = "embed";
  CHECK(tokens_told(other)["model"] == "embed");
  other.model = "gpt";
  CHECK(tokens_refused(other).name == "E_MODEL");
  CHECK(
      tokens_refused(words_query("x"), std::make_shared<const std::vector<model_handle>>()).name ==
      "E_MODEL");
  const auto size = static_cast<engine::token_id>(chat_model()->description->words->size());
  CHECK(tokens_told(ids_query({size - 1}))["n"] == 1);
  const auto why = tokens_refused(ids_query({0, size}));
  CHECK(why.name == "E_FIELD");
  CHECK(why.field == "tokens[1]");
}
