// SPDX-License-Identifier: MIT
#include "conf/client_keys.h"
#include "tests/conf/conf_fixture.h"

#include <catch2/catch.hpp>

using namespace bitnetd::conf;

namespace {

// The public key of ZeroMQ's own documentation (zmq_curve_keypair(3)), and one with every kind of
// digit.
constexpr const char* known_key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
constexpr const char* other_key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

} // namespace

TEST_CASE("a key is forty digits of Z85 that stand for 32 bytes", "[conf][keys]") {
  CHECK(is_curve_key(known_key));
  CHECK(is_curve_key(other_key));
  CHECK(is_curve_key(std::string(40, '0')));
  CHECK_FALSE(is_curve_key(std::string(39, '0')));
  CHECK_FALSE(is_curve_key(std::string(41, '0')));
  CHECK_FALSE(is_curve_key(std::string(40, '#'))); // five of the last digit exceed four bytes
  CHECK_FALSE(is_curve_key(std::string(39, '0') + ' '));
  CHECK_FALSE(is_curve_key(std::string(39, '0') + '"'));
  CHECK_FALSE(is_curve_key(""));
}

TEST_CASE_METHOD(conf_fixture, "clients.d names principals by its files", "[conf][keys]") {
  directory.write("clients.d/alice.pub", std::string{"# laptop\n"} + known_key + "\r\n\n");
  directory.write("clients.d/team:b.pub", std::string{"  "} + other_key);
  directory.write("clients.d/notes.txt", "anything");
  const auto loaded = load_text(one_model);
  REQUIRE(loaded.value);
  CHECK(loaded.value->client_keys ==
        std::map<std::string, std::string>{{known_key, "alice"}, {other_key, "team:b"}});
  CHECK(loaded.value->server_key == directory.path() / "server.key");
}

TEST_CASE_METHOD(conf_fixture, "what is no key, no name or somebody else's is told with its line",
                 "[conf][keys]") {
  directory.write("clients.d/alice.pub", std::string{"# one\n"} + known_key + "\nnonsense\n");
  directory.write("clients.d/bob.pub", known_key);
  directory.write("clients.d/not a name.pub", known_key);
  CHECK(problems_of(one_model) ==
        "clients.d/not a name.pub: its name without .pub is no principal's name\n"
        "clients.d/bob.pub:1:1: this key is alice's already; one key, one principal\n"
        "clients.d/alice.pub:3:1: expected a public key of 40 Z85 characters, or a comment\n");
}

TEST_CASE_METHOD(conf_fixture,
                 "a clients.d that cannot be listed or is too large takes no key away",
                 "[conf][keys]") {
  SECTION("a file in its place") { directory.write("clients.d", "no directory"); }
  SECTION("too many files") {
    for (int i = 0; i <= 4096; ++i)
      directory.write("clients.d/c" + std::to_string(i) + ".pub", "");
  }
  const auto loaded = load_text(one_model);
  CHECK_FALSE(loaded.value); // so a running daemon goes on with the keys it knows
  REQUIRE(loaded.problems.size() == 1);
  CHECK_THAT(loaded.problems[0].text(), Catch::Contains("clients.d"));
}

TEST_CASE("the server's key is systemd's credential where there is one", "[conf][keys]") {
  const temporary_directory credentials;
  CHECK(server_key_file("/etc/bitnetd/bitnetd.yaml", {}) == "/etc/bitnetd/server.key");
  CHECK(server_key_file("/etc/bitnetd/bitnetd.yaml", credentials.path()) ==
        "/etc/bitnetd/server.key");
  const auto given = credentials.write("server.key", "x");
  CHECK(server_key_file("/etc/bitnetd/bitnetd.yaml", credentials.path()) == given);
}

TEST_CASE("a principal has its own settings, else everybody's", "[conf][keys]") {
  config c;
  c.limits.open_jobs = 7;
  c.limits.open_bytes = 700;
  c.principals = {{"alice", role::read, 3, 5, 0, "team"}};
  const auto alice = settings_of(c, "alice"), bob = settings_of(c, "bob");
  CHECK(alice.may == role::read);
  CHECK(alice.weight == 3);
  CHECK(alice.open_jobs == 5);
  CHECK(alice.open_bytes == 700);
  CHECK(alice.cache_namespace == "team");
  CHECK(bob.name == "bob");
  CHECK(bob.may == role::submit);
  CHECK(bob.weight == 1);
  CHECK(bob.open_jobs == 7);
  CHECK(bob.cache_namespace.empty());
}
