// SPDX-License-Identifier: MIT
#include "conf/document.h"

#include <catch2/catch.hpp>

#include <ctime>
#include <sstream>

using namespace bitnetd::conf;

namespace {

struct parsed {
  std::optional<node> tree;
  std::vector<problem> problems;
  double cpu_seconds = 0;
};

// Of this thread: parsing never waits, so this is its time on a machine that does nothing else.
double cpu_seconds() {
  timespec now{};
  REQUIRE(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

parsed parse(std::string_view text) {
  parsed out;
  const auto start = cpu_seconds();
  out.tree = parse_document(text, "f.yaml", out.problems);
  out.cpu_seconds = cpu_seconds() - start;
  return out;
}

std::string problems_of(std::string_view input) { return text(parse(input).problems); }

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string out;
  while (out.size() + piece.size() <= bytes)
    out += piece;
  return out;
}

} // namespace

TEST_CASE("a document keeps every node with its place", "[conf][document]") {
  const auto read = parse("# comment\na: 1\nb:\n  - \"x\"\n  - {c: ~}\nd:\n");
  REQUIRE(read.problems.empty());
  REQUIRE(read.tree);
  const auto& pairs = read.tree->entries;
  REQUIRE(pairs.size() == 3);
  CHECK(pairs[0].key.text == "a");
  CHECK(pairs[0].value.text == "1");
  CHECK_FALSE(pairs[0].value.quoted);
  CHECK(pairs[0].value.at.line == 2);
  CHECK(pairs[0].value.at.column == 4);
  const auto& list = pairs[1].value;
  REQUIRE(list.items.size() == 2);
  CHECK(list.items[0].quoted);
  CHECK(list.items[0].at.line == 4);
  CHECK(list.items[0].at.column == 5);
  CHECK(list.items[1].entries[0].value.what == node::kind::nothing);
  CHECK(pairs[2].value.what == node::kind::nothing);
  CHECK(pairs[2].value.at.line == 6);
}

TEST_CASE("columns count code points, and a byte order mark counts nothing", "[conf][document]") {
  const auto read = parse("\xef\xbb\xbfs: {\"\xc3\xa4\xe2\x82\xac\": 1}\r\nb: 2\r\n");
  REQUIRE(read.tree);
  CHECK(read.tree->entries[0].value.entries[0].value.at.column == 11);
  CHECK(read.tree->entries[1].key.at.line == 2);
  CHECK(read.tree->entries[1].value.text == "2");
}

TEST_CASE("what is no plain single YAML document is refused with its place", "[conf][document]") {
  const auto [input, expected] = GENERATE(table<std::string, std::string>({
      {"", "f.yaml:1:1: the file is empty; write {} to mean that every default holds\n"},
      {"# only a comment\n\n",
       "f.yaml:1:1: the file is empty; write {} to mean that every default holds\n"},
      {"---\n", "f.yaml:1:1: the file is empty; write {} to mean that every default holds\n"},
      {"a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document starts here; a file holds one\n"},
      {"a: 1\n---\n", "f.yaml:2:1: a second document starts here; a file holds one\n"},
      {"- a\n- b\n",
       "f.yaml:1:1: expected keys with values, one \"key: value\" per line, got a list\n"},
      {"\nkey:value\n",
       "f.yaml:2:1: expected keys with values, one \"key: value\" per line, got text\n"},
      {"a: 1\nb: \xff\n", "f.yaml:2:4: not UTF-8\n"},
      {std::string("\xff\xfe") + std::string("a\0:\0", 4), "f.yaml:1:1: not UTF-8\n"},
      {"a: 1\n\tb: 2\n", "f.yaml:2:1: a tab in the indentation; YAML wants spaces\n"},
      {"a:\n  \tb: 2\n", "f.yaml:2:3: a tab in the indentation; YAML wants spaces\n"},
      {std::string("a: 1\nb: x\0y\n", 12),
       "f.yaml:2:5: a control character (byte 0); a configuration is plain text\n"},
      {"a: 1\rb: 2\n",
       "f.yaml:1:5: a control character (byte 13); a configuration is plain text\n"},
      {"a: b: c\n", "f.yaml:1:5: a second \": \" on this line, or wrong indentation; quote text "
                    "that contains \": \"\n"},
      {"a: [1, 2\n", "f.yaml:2:1: a list opened with [ is never closed with ]\n"},
      {"a: {b: 1\n", "f.yaml:2:1: a mapping opened with { is never closed with }\n"},
      {"a: 1\n}\n", "f.yaml:2:1: a ] or } that closes nothing\n"},
      {"a: 'half of a file\nb: 1\n", "f.yaml:1:4: this quote is never closed\n"},
      {"a: \"half \\\"\nb: 1\n", "f.yaml:1:4: this quote is never closed\n"},
      {"a: 'it''s\n", "f.yaml:1:4: this quote is never closed\n"},
      {"a: -\n", "f.yaml:1:4: a \"- \" where no list can start; begin it on a line of its own\n"},
  }));
  INFO(input);
  CHECK(problems_of(input) == expected);
  CHECK_FALSE(parse(input).tree);
}

TEST_CASE("quotes that close are fine", "[conf][document]") {
  for (const auto* input : {"a: 'it''s'\n", "a: \"say \\\"x\\\"\"\n", "a: \"\\\\\"\n", "a: ''\n"}) {
    INFO(input);
    CHECK(problems_of(input).empty());
  }
}

TEST_CASE("anchors, aliases and tags are all named, and nothing is expanded", "[conf][document]") {
  CHECK(problems_of("a: &x 1\nb: *x\nc: !!str 5\nd: *x\n") ==
        "f.yaml:1:4: anchors are not supported; write the value out where it is needed\n"
        "f.yaml:2:4: aliases are not supported; write the value out\n"
        "f.yaml:3:4: tags are not supported; write the plain value\n"
        "f.yaml:4:4: aliases are not supported; write the value out\n");
  CHECK(problems_of("a: &x [*x]\n") ==
        "f.yaml:1:4: anchors are not supported; write the value out where it is needed\n"
        "f.yaml:1:8: aliases are not supported; write the value out\n");
  CHECK(problems_of("a: *nowhere\n") ==
        "f.yaml:1:4: aliases are not supported; write the value out\n");
}

TEST_CASE("limits of bytes, lines, nodes and depth hold exactly", "[conf][document]") {
  const document_limits small{64, 20, 5, 3};
  const auto refusal = [&](std::string_view input) {
    std::vector<problem> problems;
    static_cast<void>(parse_document(input, "f", problems, small));
    return text(problems);
  };
  CHECK(refusal("a: [1, 2, 3]\n") ==
        "f:1:11: more than 5 values; a configuration has a few hundred\n");
  CHECK(refusal("a: [1, 2]\n").empty());
  CHECK(refusal("a: [[[1]]]\n") == "f:1:6: nested deeper than 3 levels\n");
  CHECK(refusal("a: [[1]]\n").empty());
  CHECK(refusal("a: 1\nb: 34567890123456789\n").empty());
  CHECK(refusal("a: 1\nb: 345678901234567890\n") ==
        "f:2:1: the line has 21 bytes; at most 20 are allowed\n");
  CHECK(refusal("a: 1\n" + std::string(59, '\n')).empty());
  CHECK(refusal("a: 1\n" + std::string(60, '\n')) ==
        "f:1:1: larger than 0 KiB; a configuration has a few\n");
}

TEST_CASE("bombs as large as a file may be are refused in under a second",
          "[conf][document][hostile]") {
  const auto most = document_limits{}.bytes;
  const auto piece = GENERATE(
      as<std::string>{}, "[", "{", "- ", "? ", "a: ", "[a],", "{a: 1},", "\"", "'", "&a ", "!a ",
      "*a ", "|", "%", "- a\n", "a: 1\n", "[\n", "{\n", "- - a\n", "? -\n", "a: [\n", "'a\n",
      "- !a\n", "- &a\n", "a\n", "-\n", ":\n", "{a: [\n", "#\n", "---\n", "[],\n", "a:\n- b:\n");
  const auto opening = GENERATE(as<std::string>{}, "", "a: [", "a: {");
  INFO(opening << piece);
  const auto read = parse(opening + repeated(piece, most - opening.size()));
  CHECK(read.problems.size() >= 1);
  CHECK(read.cpu_seconds < 1.0);
}

TEST_CASE("a billion laughs are a handful of refused aliases", "[conf][document][hostile]") {
  std::ostringstream input;
  input << "a0: &a0 [lol]\n";
  for (int i = 1; i <= 30; ++i) {
    input << 'a' << i << ": &a" << i << " [";
    for (int n = 0; n < 10; ++n)
      input << (n > 0 ? ", " : "") << "*a" << i - 1;
    input << "]\n";
  }
  const auto read = parse(input.str());
  CHECK(read.cpu_seconds < 1.0);
  CHECK(read.problems.size() == 31 + 300); // each anchor and each alias, once
}

TEST_CASE("indentation as deep as a file can be is refused", "[conf][document][hostile]") {
  std::string input;
  for (int level = 0; level < 700; ++level)
    input += std::string(static_cast<std::size_t>(level), ' ') + "a:\n";
  const auto read = parse(input);
  CHECK(read.cpu_seconds < 1.0);
  CHECK(text(read.problems) == "f.yaml:17:17: nested deeper than 16 levels\n");
}
