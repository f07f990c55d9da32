// SPDX-License-Identifier: MIT
#include "daemon/wire_frames.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace bitnetd::wire;

namespace {

struct bad_case {
  const char* what;
  std::vector<std::string> frames;
  int code;
  std::string echoed_id;
};

std::vector<std::string_view> views(const std::vector<std::string>& frames) {
  return {frames.begin(), frames.end()};
}

} // namespace

TEST_CASE("four frames are a message, with or without a delimiter", "[daemon][frames]") {
  const std::vector<std::string> frames{"BN1", "ping", "7", "{}"};
  const auto plain_views = views(frames);
  const auto plain = std::get<envelope>(read_envelope(plain_views));
  CHECK_FALSE(plain.delimiter);
  CHECK(plain.type == "ping");
  CHECK(plain.id == "7");
  CHECK(plain.body == "{}");

  const std::vector<std::string> from_req{"", "BN1", "ping", "7", "{}"};
  const auto req_views = views(from_req);
  const auto req = std::get<envelope>(read_envelope(req_views));
  CHECK(req.delimiter);
  CHECK(req.body == "{}");
}

TEST_CASE("malformed frames are refused with their own code and the id where it is readable",
          "[daemon][frames]") {
  const std::string id65(65, 'x');
  const std::vector<bad_case> cases{
      {"no frame", {}, 101, ""},
      {"only a delimiter", {""}, 101, ""},
      {"one frame", {"BN1"}, 101, ""},
      {"two frames", {"BN1", "ping"}, 101, ""},
      {"three frames", {"BN1", "ping", "7"}, 101, "7"},
      {"five frames", {"BN1", "ping", "7", "{}", "more"}, 101, "7"},
      {"nine frames", {"BN1", "ping", "7", "{}", "", "", "", "", ""}, 101, "7"},
      {"delimiter twice", {"", "", "BN1", "ping", "7", "{}"}, 101, ""},
      {"another version", {"BN2", "ping", "7", "{}"}, 100, "7"},
      {"version with a line feed", {"BN1\n", "ping", "7", "{}"}, 100, "7"},
      {"version in lower case", {"bn1", "ping", "7", "{}"}, 100, "7"},
      {"HTTP", {"GET / HTTP/1.1\r\n\r\n"}, 100, ""},
      {"a huge first frame", {std::string(1 << 20, 'A'), "ping", "7", "{}"}, 100, "7"},
      {"empty type", {"BN1", "", "7", "{}"}, 101, "7"},
      {"type of 25 letters", {"BN1", std::string(25, 'a'), "7", "{}"}, 101, "7"},
      {"type of a megabyte", {"BN1", std::string(1 << 20, 'a'), "7", "{}"}, 101, "7"},
      {"type in upper case", {"BN1", "PING", "7", "{}"}, 101, "7"},
      {"type with a NUL", {"BN1", std::string("pi\0g", 4), "7", "{}"}, 101, "7"},
      {"empty id", {"BN1", "ping", "", "{}"}, 101, ""},
      {"id of 65 bytes", {"BN1", "ping", id65, "{}"}, 101, ""},
  };
  for (const auto& one : cases) {
    INFO(one.what);
    const auto frames = views(one.frames);
    const auto read = read_envelope(frames);
    REQUIRE(std::holds_alternative<bad_envelope>(read));
    const auto& bad = std::get<bad_envelope>(read);
    CHECK(bad.why.kind.code == one.code);
    CHECK(bad.id == one.echoed_id);
    CHECK(bad.why.message.size() > 10);
    CHECK(bad.why.message.size() < 200); // foreign bytes are not repeated at length
  }
}

TEST_CASE("an id may be any 1 to 64 bytes", "[daemon][frames]") {
  for (const auto& id : {std::string(64, '\xff'), std::string("\0", 1), std::string("a b")}) {
    const std::vector<std::string> frames{"BN1", "ping", id, "{}"};
    const auto all = views(frames);
    const auto read = read_envelope(all);
    REQUIRE(std::holds_alternative<envelope>(read));
    CHECK(std::get<envelope>(read).id == id);
  }
}
