// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/batch.h"
#include "clients/bitnetctl/endpoint.h"
#include "clients/bitnetctl/show.h"
#include "front_fixture.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace bitnetd;
using namespace bitnetd::ctl;
using nlohmann::json;

TEST_CASE("bitnetctl finds the front's socket and the admin socket beside it",
          "[daemon][bitnetctl]") {
  daemon::test::front_fixture::own_directory directory;
  for (const char* name : {"BITNETD_SOCKET", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"})
    ::unsetenv(name);
  CHECK(find_front({}) == "ipc:///run/bitnetd/front.sock");
  CHECK(find_front("/a/b.sock") == "ipc:///a/b.sock");
  CHECK(find_front("ipc:///a/b.sock") == "ipc:///a/b.sock");
  CHECK(find_front(directory.path.native()) == "ipc://" + (directory.path / "front.sock").native());

  ::setenv("RUNTIME_DIRECTORY", directory.path.c_str(), 1);
  CHECK(find_front({}) == "ipc:///run/bitnetd/front.sock"); // nothing is there
  std::ofstream(directory.path / "front.sock") << "";
  CHECK(find_front({}) == "ipc://" + (directory.path / "front.sock").native());
  ::setenv("BITNETD_SOCKET", "/x/front.sock", 1);
  CHECK(find_front({}) == "ipc:///x/front.sock");
  ::unsetenv("BITNETD_SOCKET");
  ::unsetenv("RUNTIME_DIRECTORY");

  CHECK(admin_beside("ipc:///front/front.sock") == "ipc:///front/admin.sock");
  CHECK(admin_beside("ipc:///front/my-front") == "ipc:///front/my-admin");
  CHECK(admin_beside("ipc:///front/admin.sock") == "ipc:///front/admin.sock");
}

TEST_CASE("lines of a batch are objects or texts, and a wrong one is named",
          "[daemon][bitnetctl]") {
  const auto items = read_items("{\"prompt\":\"a\",\"custom_id\":\"1\"}\r\n\n  \"b\" \n"
                                "{\"input\":\"c\"}",
                                {});
  REQUIRE(items.size() == 3);
  CHECK(items[0] == json{{"prompt", "a"}, {"custom_id", "1"}});
  CHECK(items[1] == json{{"prompt", "b"}});
  CHECK(read_items("\"b\"", {.chat = true})[0]["messages"][0] ==
        json{{"role", "user"}, {"content", "b"}});
  CHECK(read_items("\"b\"", {.embed = true}) == std::vector{json{{"input", "b"}}});
  CHECK(read_items("", {}).empty());
  CHECK_THROWS_WITH(read_items("{}\n\n{\"a\":1,\"a\":2}\n", {}), Catch::StartsWith("line 3: "));
  CHECK_THROWS_WITH(read_items("prompt", {}), Catch::StartsWith("line 1: "));
  CHECK_THROWS_WITH(read_items("\"half", {}), Catch::StartsWith("line 1: "));
  CHECK_THROWS_WITH(read_items("[1]", {}), Catch::StartsWith("line 1: "));
}

TEST_CASE("plain lines are texts as they stand", "[daemon][bitnetctl]") {
  const line_reading inputs{.embed = true, .plain = true};
  const auto items = read_items(" two  words \r\n \t\n\"quoted\"\n{\"prompt\":1}", inputs);
  CHECK(items == std::vector<json>{{{"input", " two  words "}},
                                   {{"input", "\"quoted\""}},
                                   {{"input", "{\"prompt\":1}"}}});
  CHECK_THROWS_WITH(read_items("a\n\xff\n", inputs), Catch::StartsWith("line 2: "));
}

TEST_CASE("a long input is cut into batches by items and by bytes", "[daemon][bitnetctl]") {
  using cuts = std::vector<std::pair<std::size_t, std::size_t>>;
  const std::vector<json> seven(7, json{{"prompt", "x"}});
  CHECK(cut_batches(seven, 3, 1 << 20) == cuts{{0, 3}, {3, 6}, {6, 7}});
  CHECK(cut_batches(seven, 7, 1 << 20) == cuts{{0, 7}});
  const auto size = seven[0].dump().size() + 1;
  CHECK(cut_batches(seven, 100, 2 * size) == cuts{{0, 2}, {2, 4}, {4, 6}, {6, 7}});
  CHECK(cut_batches(seven, 100, 1) == // one that is too large goes alone: the daemon says so
        cuts{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}});
  CHECK(cut_batches({}, 3, 100).empty());
}

TEST_CASE("tables stand straight with letters of any width in bytes", "[daemon][bitnetctl]") {
  std::ostringstream out;
  show_table(out, {{"a", "took"}, {"größer", "1 µs"}, {"x", "2"}});
  CHECK(out.str() == "a       took\ngrößer  1 µs\nx       2\n");
  CHECK(duration_text(0.0123) == "12 µs");
  CHECK(duration_text(1.25) == "1.2 ms");
  CHECK(duration_text(1500) == "1.5 s");
  CHECK(duration_text(600'000) == "10 min");
  CHECK(bytes_text(1536) == "1.5 KiB");
}
