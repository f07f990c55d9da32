// SPDX-License-Identifier: MIT
#include "conf/value.h"

#include <catch2/catch.hpp>

#include <clocale>
#include <cstdint>

using namespace bitnetd::conf;

namespace {

std::int64_t number(const scalar_result& read) {
  REQUIRE(read.ok);
  return std::get<std::int64_t>(read.got);
}

} // namespace

TEST_CASE("sizes are read in binary units, with and without a space", "[conf][value]") {
  CHECK(number(read_size("8MiB")) == 8'388'608);
  CHECK(number(read_size("256 MiB")) == 268'435'456);
  CHECK(number(read_size("1GiB")) == 1'073'741'824);
  CHECK(number(read_size("2TiB")) == 2'199'023'255'552);
  CHECK(number(read_size("3KiB")) == 3072);
  CHECK(number(read_size("17B")) == 17);
  CHECK(number(read_size("4096")) == 4096);
}

TEST_CASE("sizes that overflow, have odd units or signs inside are refused", "[conf][value]") {
  for (const auto* text : {"8388608TiB", "9223372036854775808", "8MB", "8M", "8mib", "MiB", "",
                           "1.5GiB", "0x10", "8 Mi B", "1-2", "--1", "8MiB ", "08"}) {
    INFO(text);
    CHECK_FALSE(read_size(text).ok);
  }
  CHECK(read_size("8388608TiB").error == "the size is too large");
  CHECK(read_size("8MB").error == "the units are B, KiB, MiB, GiB, TiB");
}

TEST_CASE("times are read in the unit of their key", "[conf][value]") {
  CHECK(number(read_duration("250ms", "ms")) == 250);
  CHECK(number(read_duration("30s", "ms")) == 30'000);
  CHECK(number(read_duration("30s", "s")) == 30);
  CHECK(number(read_duration("24h", "s")) == 86'400);
  CHECK(number(read_duration("2 min", "s")) == 120);
  CHECK(number(read_duration("2m", "s")) == 120);
  CHECK(number(read_duration("7d", "s")) == 604'800);
  CHECK(number(read_duration("45", "s")) == 45);
  CHECK(number(read_duration("45", "ms")) == 45);
  CHECK(number(read_duration("2000ms", "s")) == 2);
}

TEST_CASE("times that overflow, have odd units or lose a part are refused", "[conf][value]") {
  CHECK(read_duration("250ms", "s").error == "no whole number of seconds");
  CHECK(read_duration("106751991168d", "ms").error == "the time is too long");
  CHECK(read_duration("3 weeks", "s").error == "the units are ms, s, min, h, d");
  CHECK_FALSE(read_duration("1.5s", "ms").ok);
  CHECK_FALSE(read_duration("s", "s").ok);
}

TEST_CASE("whole numbers are decimal and nothing else", "[conf][value]") {
  CHECK(number(read_whole("0")) == 0);
  CHECK(number(read_whole("-5")) == -5);
  CHECK(number(read_whole("9223372036854775807")) == INT64_MAX);
  for (const auto* text : {"", "-", "1.0", "1e3", "0x10", "0o17", "1_000", "010", "+1", " 1", "1 ",
                           "9223372036854775808", "many"}) {
    INFO(text);
    CHECK_FALSE(read_whole(text).ok);
  }
}

TEST_CASE("real numbers have a point in every locale and are finite", "[conf][value]") {
  const auto* changed = std::setlocale(LC_NUMERIC, "de_DE.UTF-8"); // where it is installed
  CHECK(std::get<double>(read_real("0.95").got) == 0.95);
  CHECK(std::get<double>(read_real("1").got) == 1.0);
  CHECK(std::get<double>(read_real("1e-3").got) == 0.001);
  CHECK(write_value(0.95, value_type::real, "") == "0.95");
  if (changed != nullptr)
    std::setlocale(LC_NUMERIC, "C");
  for (const auto* text : {"", "0,95", "nan", "inf", "-inf", "1e999", ".", "1.0x", "0x1p3"}) {
    INFO(text);
    CHECK_FALSE(read_real(text).ok);
  }
}

TEST_CASE("words for true and false are YAML's, in lower case", "[conf][value]") {
  for (const auto* text : {"true", "on", "yes"})
    CHECK(std::get<bool>(read_boolean(text).got));
  for (const auto* text : {"false", "off", "no"})
    CHECK_FALSE(std::get<bool>(read_boolean(text).got));
  for (const auto* text : {"1", "TRUE", "y", ""})
    CHECK_FALSE(read_boolean(text).ok);
}

TEST_CASE("file modes are octal with or without the leading zero", "[conf][value]") {
  CHECK(number(read_file_mode("0660")) == 0660);
  CHECK(number(read_file_mode("600")) == 0600);
  for (const auto* text : {"66", "0o660", "06600", "680", "1660", "-660", ""})
    CHECK_FALSE(read_file_mode(text).ok);
}

TEST_CASE("names have no room for paths, spaces or control characters", "[conf][value]") {
  CHECK(is_name("bitnet-2b4t:q.4_x@host+1"));
  CHECK(is_name(std::string(64, 'a')));
  for (const auto& text : {std::string{}, std::string(65, 'a'), std::string{"../x"},
                           std::string{"a/b"}, std::string{"a b"}, std::string{".a"},
                           std::string{"-a"}, std::string{"a\nb"}, std::string{"\xc3\xa4"}})
    CHECK_FALSE(is_name(text));
}

TEST_CASE("values are written so that reading gives them back", "[conf][value]") {
  const auto size = [](std::int64_t n) { return write_value(n, value_type::size, "bytes"); };
  CHECK(size(268'435'456) == "256MiB");
  CHECK(size(1'073'741'824) == "1GiB");
  CHECK(size(1000) == "1000B");
  CHECK(size(0) == "0B");
  for (const std::int64_t n : {std::int64_t{1}, std::int64_t{1023}, std::int64_t{1536},
                               std::int64_t{1} << 40, (std::int64_t{1} << 40) + 1})
    CHECK(number(read_size(size(n))) == n);

  const auto time = [](std::int64_t n, std::string_view unit) {
    return write_value(n, value_type::duration, unit);
  };
  CHECK(time(86'400, "s") == "24h");
  CHECK(time(60, "s") == "60s");
  CHECK(time(1, "s") == "1s");
  CHECK(time(250, "ms") == "250ms");
  CHECK(time(2000, "ms") == "2s");
  CHECK(time(0, "s") == "0s");
  for (const std::int64_t n : {1, 59, 60, 61, 3600, 86'399, 86'400, 604'800})
    CHECK(number(read_duration(time(n, "s"), "s")) == n);

  CHECK(write_value(std::int64_t{0660}, value_type::file_mode, "") == "0660");
  CHECK(write_value(std::vector<int>{0, 1}, value_type::cpu_list, "") == "[0, 1]");
  CHECK(write_value(true, value_type::boolean, "") == "true");
  CHECK(write_value(std::string{"/srv/m.gguf"}, value_type::file_path, "") == "/srv/m.gguf");
  CHECK(write_value(std::string{}, value_type::optional_name, "") == "\"\"");
  CHECK(write_value(std::string{"a: \"b\""}, value_type::file_path, "") == R"("a: \"b\"")");
  CHECK(write_value(std::string{"null"}, value_type::name, "") == "\"null\"");
}
