// SPDX-License-Identifier: MIT
#include "daemon/wire_json_text.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>

using bitnetd::wire::json_text;
using nlohmann::json;

namespace {

template <class T> std::string text_of(const T& value) { return json_text().value(value).take(); }

} // namespace

TEST_CASE("JSON text has commas where they belong and nothing that is absent", "[daemon][wire]") {
  json_text out;
  out.begin_object().field("a", 1).field("b", std::optional<int>{}).field_if_any("c", "");
  out.name("d").begin_array().value(true).begin_object().end_object().value("x").end_array();
  out.name("e").raw(R"({"f":[]})").field("g", std::vector<std::string>{"h", "i"}).end_object();
  CHECK(out.take() == R"({"a":1,"d":[true,{},"x"],"e":{"f":[]},"g":["h","i"]})");
}

TEST_CASE("text is escaped as a JSON library does it", "[daemon][wire]") {
  const std::string text = GENERATE(
      as<std::string>{}, "", "plain", "a \"quoted\" \\ word", "line\nline\ttab", "\x01\x1f\x7f",
      "na\xc3\xafve \xf0\x9f\x98\x80", "broken \xc3", "\xff\xfe alone", std::string("nul\0", 4));
  CHECK(text_of(text) == json(text).dump(-1, ' ', false, json::error_handler_t::replace));
  const auto back = json::parse(text_of(std::map<std::string, std::string>{{text, "v"}}));
  CHECK(back.begin().value() == "v");
}

TEST_CASE("numbers come back as they were", "[daemon][wire]") {
  const double number = GENERATE(0.0, -0.0, 1.0, 0.1, -2.5, 1e-7, 123456.789, 1e15, 1.7e308, 5e-324,
                                 1.0 / 3, 100000.0);
  const auto text = text_of(number);
  INFO(text);
  CHECK(json::parse(text).is_number_float());
  CHECK(json::parse(text).get<double>() == number);
  CHECK(text_of(100000.0) == "100000.0"); // not 1e+05: people read it, too
  CHECK(text_of(0.1F) == "0.1");
  CHECK(text_of(std::numeric_limits<double>::quiet_NaN()) == "null");
  CHECK(text_of(std::numeric_limits<float>::infinity()) == "null");
  CHECK(text_of(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(text_of(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
}
