// SPDX-License-Identifier: MIT
#include "daemon/wire_json_short.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <random>
#include <string>

using namespace bitnetd::wire;
using nlohmann::json;

namespace {

std::string repeat(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i)
    out += text;
  return out;
}

/// A value of any kind, with the texts and numbers that parsers stumble over.
json any_value(std::mt19937_64& random, int level) {
  const std::vector<std::string> texts{
      "",       "plain",     "\"\\/\b\f\n\r\t", std::string(1, '\0'),
      "\u007f", "caf\u00e9", "\U0001F600",      std::string(300, 'x')};
  switch (random() % (level < 6 ? 9 : 7)) {
  case 0:
    return nullptr;
  case 1:
    return random() % 2 == 0;
  case 2:
    return random();
  case 3:
    return -static_cast<std::int64_t>(random() >> 1) - 1;
  case 4:
    return static_cast<double>(random()) *
           std::ldexp(1.0, static_cast<int>(random() % 1900) - 1000);
  case 5:
    return texts[random() % texts.size()];
  case 6:
    return random() % 3;
  case 7: {
    auto out = json::array();
    for (auto n = random() % 5; n > 0; --n)
      out.push_back(any_value(random, level + 1));
    return out;
  }
  default: {
    auto out = json::object();
    for (auto n = random() % 5; n > 0; --n)
      out[texts[random() % texts.size()] + std::to_string(random() % 9)] =
          any_value(random, level + 1);
    return out;
  }
  }
}

} // namespace

TEST_CASE("JSON that is not acceptable is refused and the reason named", "[daemon][json]") {
  struct bad_json {
    const char* what;
    std::string text;
    const char* reason;
  };
  const std::vector<bad_json> cases{
      {"nothing", "", "not valid JSON"},
      {"blank", "  \n", "not valid JSON"},
      {"an array", "[]", "expected an object"},
      {"a text", "\"x\"", "expected an object"},
      {"null", "null", "expected an object"},
      {"half an object", R"({"a": 1)", "not valid JSON"},
      {"two objects", "{}{}", "not valid JSON"},
      {"text behind", "{} x", "not valid JSON"},
      {"a comment", "{/* */}", "not valid JSON"},
      {"a trailing comma", R"({"a":1,})", "not valid JSON"},
      {"a byte order mark", "\xEF\xBB\xBF{}", "byte order mark"},
      {"33 levels", repeat("{\"a\":", 33) + "1" + repeat("}", 33), "nested deeper than 32"},
      {"33 levels of arrays", "{\"a\":" + repeat("[", 32) + repeat("]", 32) + "}",
       "nested deeper than 32"},
      {"a hundred thousand levels", repeat("{\"a\":", 100'000), "nested deeper than 32"},
      {"a hundred thousand brackets", "{\"a\":" + repeat("[", 100'000), "nested deeper than 32"},
      {"a key twice", R"({"a":1,"b":2,"a":3})", "\"a\" stands twice"},
      {"a key twice, once escaped", R"({"a":1,"\u0061":3})", "\"a\" stands twice"},
      {"a key twice within", R"({"x":{"a":1,"a":1}})", "\"a\" stands twice"},
      {"1e999", R"({"a":1e999})", "out of the range of a double"},
      {"-1e999", R"({"a":-1e999})", "out of the range of a double"},
      {"NaN", R"({"a":NaN})", "not valid JSON"},
      {"Infinity", R"({"a":Infinity})", "not valid JSON"},
      {"a leading zero", R"({"a":01})", "not valid JSON"},
      {"a plus sign", R"({"a":+1})", "not valid JSON"},
      {"hexadecimal", R"({"a":0x10})", "not valid JSON"},
      {"a lone high surrogate", R"({"a":"\uD800"})", "not valid JSON"},
      {"a lone low surrogate", R"({"a":"\uDC00"})", "not valid JSON"},
      {"a high surrogate before a letter", R"({"a":"\uD800A"})", "not valid JSON"},
      {"overlong UTF-8", "{\"a\":\"\xC0\xAF\"}", "not valid JSON"},
      {"a surrogate in UTF-8", "{\"a\":\"\xED\xA0\x80\"}", "not valid JSON"},
      {"beyond U+10FFFF", "{\"a\":\"\xF4\x90\x80\x80\"}", "not valid JSON"},
      {"half a character", "{\"a\":\"\xE2\x82\"}", "not valid JSON"},
      {"Latin-1", "{\"a\":\"caf\xE9\"}", "not valid JSON"},
      {"invalid UTF-8 in a key", "{\"\xFF\":1}", "not valid JSON"},
      {"a control character in a text", "{\"a\":\"\n\"}", "not valid JSON"},
      {"a NUL between", std::string("{\"a\":\0 1}", 9), "not valid JSON"},
  };
  for (const auto& one : cases) {
    INFO(one.what);
    const auto parsed = parse_object(one.text);
    REQUIRE(std::holds_alternative<refusal>(parsed));
    const auto& why = std::get<refusal>(parsed);
    CHECK(why.kind.code == 102);
    CHECK_THAT(why.message, Catch::Contains(one.reason));
    CHECK(why.message.size() < 200);
    CHECK_FALSE(parse_short(one.text, {}));
  }
}

TEST_CASE("unusual but correct JSON is accepted and read exactly", "[daemon][json]") {
  const auto read = [](const std::string& text) {
    const auto quick = parse_short(text, {});
    REQUIRE(quick);
    CHECK(std::get<json>(parse_carefully(text)) == *quick);
    return *quick;
  };
  CHECK(read(" \t\n{ } \r\n").empty());
  CHECK(read(R"({"a":-0})")["a"] == 0);
  CHECK(read(R"({"a":18446744073709551615})")["a"] == UINT64_MAX);
  CHECK(read(R"({"a":"\u0000"})")["a"] == std::string(1, '\0'));
  CHECK(read(R"({"a":"\uD83D\uDE00"})")["a"] == "\xF0\x9F\x98\x80");
  CHECK(read(repeat("{\"a\":", 31) + "{}" + repeat("}", 31)).is_object());
  CHECK(read(R"({"a":[[1,[2]],{"b":[]}],"c":{"d":[{"e":null}]}})") ==
        json{{"a", {{1, {2}}, {{"b", json::array()}}}}, {"c", {{"d", {{{"e", nullptr}}}}}}});
}

TEST_CASE("both parsers read what nlohmann wrote, and a byte that was changed alike",
          "[daemon][json]") {
  std::mt19937_64 random{7};
  std::size_t good = 0, bad = 0;
  for (int i = 0; i < 3000; ++i) {
    const json value{{"a", any_value(random, 0)}, {"b", any_value(random, 0)}};
    auto text = value.dump(random() % 2 == 0 ? -1 : 1, ' ', random() % 2 == 0);
    const auto quick = parse_short(text, {});
    REQUIRE(quick);
    CHECK(*quick == value);
    CHECK(std::get<json>(parse_carefully(text)) == value);

    text[random() % text.size()] = static_cast<char>(random());
    const auto careful = parse_carefully(text);
    const auto again = parse_short(text, {});
    INFO(text);
    if (again)
      CHECK(std::get<json>(careful) == *again);
    const bool is_good = std::holds_alternative<json>(careful);
    CHECK(is_good == again.has_value());
    ++(is_good ? good : bad);
  }
  CHECK(good > 100);
  CHECK(bad > 100);
}

TEST_CASE("what is longer than the quick parser takes is read all the same", "[daemon][json]") {
  const auto of = [](std::size_t size) { return "{\"a\":\"" + std::string(size - 8, 'x') + "\"}"; };
  CHECK(parse_short(of(max_short_text), {}));
  CHECK_FALSE(parse_short(of(max_short_text + 1), {}));
  CHECK(std::get<json>(parse_object(of(max_short_text + 1)))["a"]
            .get_ref<const std::string&>()
            .size() == max_short_text + 1 - 8);
}

TEST_CASE("an object is refused at its 2049th key, and nothing after it is read",
          "[daemon][json]") {
  std::string text = "{";
  for (int i = 0; i < 2'049; ++i)
    text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  const auto parsed = parse_object(text + ", what follows is no JSON");
  REQUIRE(std::holds_alternative<refusal>(parsed));
  CHECK_THAT(std::get<refusal>(parsed).message, Catch::Contains("more than 2048 keys"));
}

TEST_CASE("more than a million values are refused", "[daemon][json]") {
  CHECK(std::holds_alternative<json>(parse_object("{\"a\":[" + repeat("1,", 999'996) + "1]}")));
  const auto parsed = parse_object("{\"a\":[" + repeat("1,", 1'000'000) + "1]}");
  REQUIRE(std::holds_alternative<refusal>(parsed));
  CHECK_THAT(std::get<refusal>(parsed).message, Catch::Contains("more than 1000000 values"));
}

TEST_CASE("a number of eight million digits is refused in a moment", "[daemon][json]") {
  const auto started = std::chrono::steady_clock::now();
  const auto parsed = parse_object("{\"a\":" + std::string(8'000'000, '9') + "}");
  CHECK(std::holds_alternative<refusal>(parsed));
  CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(60)); // quadratic: hours
}
