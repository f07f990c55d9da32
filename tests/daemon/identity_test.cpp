// SPDX-License-Identifier: MIT
#include "tests/daemon/front_fixture.h"

#include <fstream>
#include <sys/stat.h>

using namespace bitnetd;
using namespace bitnetd::daemon;
using namespace bitnetd::daemon::test;

namespace {

constexpr const char* door_file = "ipc://curve.sock";

/// A front with two ports that want keys: `may: submit` and `may: admin`.
struct key_house : front_fixture {
  explicit key_house(const std::function<void(conf::config&)>& change = nullptr)
      : front_fixture({}, {}, [this, &change](conf::config& config) {
          const auto file = directory.path / "server.key";
          std::ofstream(file) << "# secret\n" << server.secret << '\n';
          ::chmod(file.c_str(), 0600);
          config.server_key = file;
          config.client_keys = {{alice.open, "alice"}, {bob.open, "bob"}};
          conf::socket_config keyed{"tcp", port, "router", "local", conf::role::submit, 0660};
          keyed.curve = true;
          config.sockets.push_back(keyed);
          keyed.name = "tcp-admin";
          keyed.endpoint = admin_port;
          keyed.may = conf::role::admin;
          config.sockets.push_back(keyed);
          keyed.name = "keyed-file";
          keyed.endpoint = door_file;
          keyed.may = conf::role::submit;
          config.sockets.push_back(keyed);
          if (change)
            change(config);
        }) {
    connect_pipeline();
  }

  client with(const curve_pair& own) { return with(own, port); }
  client with(const curve_pair& own, const std::string& endpoint) {
    return {context, endpoint, own, server.open};
  }
  /// A new configuration, as a reload brings it; returns when the front has it.
  void configure(const std::function<void(conf::config&)>& change) {
    auto next = std::make_shared<conf::config>(*configured);
    change(*next);
    next->limits.max_tokens = configured->limits.max_tokens + 1; // to see it arrive
    configured = next;
    caf::anon_send(outbox, actors::configure_atom_v, conf::config_ptr(next));
    auto probe = open("front.sock");
    while (probe.ask("hello", "{}").body["limits"]["max_tokens"] != next->limits.max_tokens)
      std::this_thread::sleep_for(1ms);
  }

  static inline const curve_pair server, alice, bob, stranger;
  static inline const std::string port = free_port(), admin_port = free_port();
};

/// Whether anything is answered within `ms`.
bool answers(client& who, int ms = 60'000) {
  who.socket().set(zmq::sockopt::rcvtimeo, ms);
  try {
    (void)who.ask("ping", "{}");
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

} // namespace

TEST_CASE("the key says whose jobs these are, over tcp and over ipc", "[daemon][identity]") {
  key_house house;
  auto alice = house.with(house.alice);
  const auto welcome = alice.ask("hello", "{}").body;
  CHECK(welcome["principal"] == "alice");
  CHECK(welcome["role"] == "submit");
  CHECK(welcome["limits"]["frame"] == house.configured->limits.body_bytes + (64u << 10));
  alice.send("submit", "1", R"({"prompt":"x"})");
  CHECK(house.seen.submits.next()->principal == "alice");
  auto bob = house.with(house.bob, "ipc://" + (house.directory.path / "curve.sock").native());
  bob.send("submit", "1", R"({"prompt":"x"})");
  CHECK(house.seen.submits.next()->principal == "bob");
  bob.send("status", "2", R"({"job":"0190163d-8694-739b-aea5-966c26f8ad00"})");
  const auto [kind, query] = house.seen.queries.next();
  CHECK(query.principal == "bob");
  CHECK_FALSE(query.admin);
}

TEST_CASE("without a known key, the right server key, or any key nobody gets in",
          "[daemon][identity]") {
  key_house house;
  auto unknown = house.with(house.stranger);
  CHECK_FALSE(answers(unknown, 700));
  client deceived(house.context, house.port, house.alice, house.stranger.open);
  CHECK_FALSE(answers(deceived, 700));
  zmq::socket_t plain(house.context, zmq::socket_type::dealer);
  plain.set(zmq::sockopt::linger, 0);
  plain.set(zmq::sockopt::rcvtimeo, 700);
  plain.connect(house.port);
  for (const char* frame : {"BN1", "ping", "1"})
    plain.send(zmq::buffer(std::string_view{frame}), zmq::send_flags::sndmore);
  plain.send(zmq::buffer(std::string_view{"{}"}), zmq::send_flags::none);
  zmq::message_t reply;
  CHECK_FALSE(plain.recv(reply));
  CHECK(house.seen.submits.size() == 0);
  auto alice = house.with(house.alice); // and she is served all the while
  CHECK(answers(alice));
}

TEST_CASE("a role is the lesser of the key's and the socket's", "[daemon][identity]") {
  key_house house([](conf::config& config) {
    config.principals = {{"alice", conf::role::admin, 1, 0, 0, ""},
                         {"bob", conf::role::read, 1, 0, 0, ""}};
  });
  auto alice = house.with(house.alice), above = house.with(house.alice, house.admin_port);
  const auto refused = alice.ask("reload", "{}");
  CHECK(refused.body["name"] == "E_ROLE");
  CHECK_THAT(refused.body["msg"].get<std::string>(), Catch::Contains("this key has submit"));
  CHECK(above.ask("hello", "{}").body["role"] == "admin");
  above.send("reload", "1", "{}");
  CHECK(house.seen.admin.next().principal == "alice");
  auto bob = house.with(house.bob, house.admin_port);
  // Refused by its type: this body would be E_JSON.
  CHECK(bob.ask("submit", "no JSON").body["name"] == "E_ROLE");
  CHECK(bob.ask("hello", "{}").body["role"] == "read");
}

TEST_CASE("each principal has its own limits", "[daemon][identity]") {
  key_house house([](conf::config& config) {
    config.principals = {{"alice", conf::role::submit, 1, 2, 0, ""},
                         {"bob", conf::role::submit, 1, 0, 20, ""}};
  });
  auto alice = house.with(house.alice), bob = house.with(house.bob);
  CHECK(alice.ask("hello", "{}").body["limits"]["open_jobs"] == 2);
  const std::string submit = R"({"prompt":"x"})";
  for (const char* id : {"1", "2"})
    alice.send("submit", id, submit);
  CHECK(alice.ask("submit", submit, "3").body["name"] == "E_BUSY");
  bob.send("submit", "1", submit); // his jobs are his own
  const auto busy = bob.ask("submit", submit, "2").body;
  CHECK(busy["name"] == "E_BUSY");
  CHECK(busy["limit"] == 20);
  house.configure([](conf::config& config) { config.principals[0].open_jobs = 3; });
  alice.send("submit", "4", submit);
  for (int i = 0; i < 4; ++i)
    (void)house.seen.submits.next();
}

TEST_CASE("a key that is taken back is refused at once, and a new one is let in",
          "[daemon][identity]") {
  key_house house;
  auto alice = house.with(house.alice);
  CHECK(answers(alice));
  alice.send("submit", "s", R"({"prompt":"x","mode":"stream"})");
  const auto request = house.seen.submits.next();
  actors::reply_accepted yes;
  yes.job = some_job();
  house.answer(request, yes);
  CHECK(alice.receive().type == "accepted");
  house.configure([&](conf::config& config) {
    config.client_keys = {{house.bob.open, "bob"}, {house.stranger.open, "carol"}};
  });
  // Her stream, which ends with her connection, is cancelled; nothing of it leaves any more.
  const auto [kind, query] = house.seen.queries.next();
  CHECK(kind == "cancel");
  CHECK(query.jobs == std::vector{some_job()});
  house.answer(request, actors::reply_delta{yes.job, 0, 0, "secret", 1});
  const auto after = alice.ask("ping", "{}");
  CHECK(after.type == "error");
  CHECK(after.body["name"] == "E_AUTH");
  auto again = house.with(house.alice);
  CHECK_FALSE(answers(again, 700));
  auto carol = house.with(house.stranger);
  CHECK(carol.ask("hello", "{}").body["principal"] == "carol");
}

TEST_CASE("replies under way do not follow a key to another principal", "[daemon][identity]") {
  key_house house;
  auto holder = house.with(house.alice);
  holder.send("submit", "s", R"({"prompt":"x","mode":"sync"})");
  const auto request = house.seen.submits.next();
  house.configure([&](conf::config& config) { config.client_keys[house.alice.open] = "mallory"; });
  actors::reply out;
  out.to = request->reply_to;
  out.principal = "alice";
  out.what = actors::reply_document{"result", "{}"};
  house.reply(out);
  const auto next = holder.ask("hello", "{}", "h"); // nothing of alice's came before
  CHECK(next.id == "h");
  CHECK(next.body["principal"] == "mallory");
}

TEST_CASE("job events go to their principal's subscribers and to administrators",
          "[daemon][identity]") {
  front_fixture house({}, {}, [](conf::config& config) {
    config.sockets.push_back({"all", "ipc://all.sock", "xpub", "local", conf::role::admin, 0600});
  });
  auto local = house.open("events.sock", zmq::socket_type::sub);
  auto all = house.open("all.sock", zmq::socket_type::sub);
  for (auto* one : {&local, &all}) {
    one->socket().set(zmq::sockopt::subscribe, "job");
    house.await_subscriptions(*one);
  }
  caf::anon_send(house.outbox, actors::event{"job", R"({"a":1})", "alice"});
  caf::anon_send(house.outbox, actors::event{"job", R"({"a":2})", "local"});
  using frames = std::vector<std::string>;
  const auto next_of_a_job = [](client& who) {
    for (;;) // what the wait for the other's subscription sent comes first
      if (auto got = who.receive_frames(); got.front() == "job")
        return got;
  };
  CHECK(next_of_a_job(local) == frames{"job", "1", R"({"a":2})"}); // no gap in the numbers
  CHECK(next_of_a_job(all) == frames{"job", "1", R"({"a":1})"});
  CHECK(next_of_a_job(all) == frames{"job", "2", R"({"a":2})"});
}

TEST_CASE("a server key that others can read, or none, is refused with the remedy",
          "[daemon][identity]") {
  const auto start = [](const std::string& text, mode_t mode) -> std::string {
    try {
      key_house house([&](conf::config& config) {
        std::filesystem::remove(config.server_key);
        if (!text.empty()) {
          std::ofstream(config.server_key) << text;
          ::chmod(config.server_key.c_str(), mode);
        }
      });
    } catch (const front_error& error) {
      return error.what();
    }
    return {};
  };
  CHECK_THAT(start("", 0), Catch::Contains("bitnetctl keys gen"));
  CHECK_THAT(start(key_house::server.secret, 0640), Catch::Contains("chmod 600"));
  CHECK_THAT(start("too short", 0600), Catch::Contains("40 Z85 characters"));
}
