// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "front_fixture.h"

#include <cstring>
#include <random>
#include <sys/socket.h>
#include <sys/un.h>

using namespace bitnetd;
using namespace bitnetd::daemon;
using namespace bitnetd::daemon::test;

namespace {

// A connection without ZeroMQ.
class raw_connection {
public:
  explicit raw_connection(const std::filesystem::path& file)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, file.c_str());
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot connect");
  }
  ~raw_connection() { ::close(fd_); }
  raw_connection(const raw_connection&) = delete;
  raw_connection& operator=(const raw_connection&) = delete;

  void send(std::string_view bytes) const {
    (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // True when the other side closes within the time.
  bool closed_within(std::chrono::milliseconds time) const {
    const timeval limit{time.count() / 1000, (time.count() % 1000) * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char buffer[4096];
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n == 0 || (n < 0 && errno == ECONNRESET))
        return true;
      if (n < 0)
        return false;
    }
    return false;
  }

private:
  int fd_;
};

// The ZMTP 3.0 greeting and READY of a socket without security.
std::string zmtp_hello(std::string_view type = "DEALER") {
  std::string ready("\x05READY\x0bSocket-Type\0\0\0", 21);
  ready += static_cast<char>(type.size());
  ready += type;
  ready.append("\x08Identity\0\0\0\0", 13);
  std::string out("\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL", 16);
  out.append(16 + 32, '\0');
  out += '\x04';
  out += static_cast<char>(ready.size());
  return out.append(ready);
}

std::size_t open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++n;
  return n;
}

} // namespace

TEST_CASE("bytes that are no ZMTP end their connection and disturb nobody", "[daemon][hostile]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  std::mt19937_64 random(7);
  std::string noise(4096, '\0');
  for (auto& c : noise)
    c = static_cast<char>(random());
  const std::vector<std::string> greetings{
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + noise, // a TLS ClientHello
      noise,
      std::string("\xff\0\0\0\0\0\0\0\x01\x7f", 10) + "\x01\x05",            // ZMTP 2
      std::string("\x01\0", 2),                                              // ZMTP 1
      zmtp_hello() + std::string("\x02\xff\xff\xff\xff\xff\xff\xff\xff", 9), // a frame of 2^64 - 1
      zmtp_hello() + noise,
      "", // silence
  };
  std::vector<std::unique_ptr<raw_connection>> connections;
  for (const auto& bytes : greetings) {
    connections.push_back(std::make_unique<raw_connection>(house.directory.path / "front.sock"));
    connections.back()->send(bytes);
    CHECK(client.ask("ping", "{}").type == "pong");
  }
  // Those who never complete a handshake are closed after its two seconds.
  CHECK(connections.front()->closed_within(60s));
  CHECK(connections.back()->closed_within(60s));
  CHECK(client.ask("ping", "{}").type == "pong");
}

TEST_CASE("a message that never ends reaches nobody and the others are served",
          "[daemon][hostile]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  raw_connection flood(house.directory.path / "front.sock");
  flood.send(zmtp_hello());
  std::this_thread::sleep_for(200ms);
  std::string frames;
  for (int i = 0; i < 10'000; ++i)
    frames += std::string("\x01\x00", 2); // empty, and more to come
  for (int i = 0; i < 20; ++i) {
    flood.send(frames);
    CHECK(client.ask("ping", "{}").type == "pong");
  }
}

TEST_CASE("a thousand connections come and go and leave no file open", "[daemon][hostile]") {
  front_fixture house;
  house.connect_pipeline();
  auto client = house.open("front.sock");
  const auto before = open_files();
  for (int i = 0; i < 1000; ++i) {
    auto one = house.open("front.sock");
    CHECK(one.ask("ping", "{}").type == "pong");
  }
  // ZeroMQ reaps closed connections in its own time, and keeps a few files of its own.
  constexpr std::size_t few = 10;
  const auto until = std::chrono::steady_clock::now() + 120s;
  while (open_files() > before + few && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(20ms);
  CHECK(open_files() <= before + few);
  CHECK(client.ask("ping", "{}").type == "pong");
}

TEST_CASE("a client that does not read is kept to a bound and forgotten; others are served",
          "[daemon][hostile]") {
  peers_table::bounds kept;
  kept.per_peer_bytes = 1 << 20;
  front_fixture house({}, kept);
  house.connect_pipeline();
  auto deaf = house.open("front.sock");
  deaf.socket().set(zmq::sockopt::rcvhwm, 1);
  deaf.send("submit", "1", R"({"prompt":"x","mode":"stream"})");
  const auto request = house.seen.submits.next();
  actors::reply_accepted yes;
  yes.job = some_job();
  house.answer(request, yes);

  auto client = house.open("front.sock");
  const std::string text(10'000, 'x');
  std::uint64_t sent = 0;
  auto slowest = 0ms;
  const auto until = std::chrono::steady_clock::now() + 120s;
  while (house.seen.queries.size() == 0 && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 20; ++i, ++sent)
      house.answer(request, actors::reply_delta{yes.job, sent, sent * text.size(), text, 1});
    const auto asked = std::chrono::steady_clock::now();
    CHECK(client.ask("ping", "{}").type == "pong");
    slowest = std::max(slowest, std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now() - asked));
  }
  // Forgotten: its stream is cancelled, as it was agreed.
  const auto [type, query] = house.seen.queries.next();
  CHECK(type == "cancel");
  CHECK(query.jobs == std::vector{some_job()});
  CHECK(slowest < 20s); // for ever, if the queue were one for all
}

TEST_CASE("a client that reads late gets everything, in order", "[daemon][hostile]") {
  front_fixture house;
  house.connect_pipeline();
  auto late = house.open("front.sock");
  late.socket().set(zmq::sockopt::rcvhwm, 1);
  late.send("submit", "1", R"({"prompt":"x","mode":"stream"})");
  const auto request = house.seen.submits.next();
  actors::reply_accepted yes;
  yes.job = some_job();
  house.answer(request, yes);
  constexpr std::uint64_t n = 2000;
  for (std::uint64_t i = 0; i < n; ++i)
    house.answer(request, actors::reply_delta{yes.job, i, i * 1000, std::string(1000, 'x'), 1});
  std::this_thread::sleep_for(300ms);
  CHECK(late.receive().type == "accepted");
  bool in_order = true;
  for (std::uint64_t i = 0; i < n; ++i)
    in_order = in_order && late.receive().body["seq"] == i;
  CHECK(in_order);
}

TEST_CASE("subscriptions of a megabyte and by the thousand do not stop events",
          "[daemon][hostile]") {
  front_fixture house;
  auto greedy = house.open("events.sock", zmq::socket_type::sub);
  for (int i = 0; i < 10'000; ++i)
    greedy.socket().set(zmq::sockopt::subscribe, fmt::format("t{}", i));
  // A topic of a megabyte, sent by hand: libzmq's own client overflows its stack on it.
  raw_connection huge(house.directory.path / "events.sock");
  huge.send(zmtp_hello("SUB"));
  std::this_thread::sleep_for(200ms);
  huge.send(std::string("\x02\0\0\0\0\0\x10\0\x01", 9).append(1, '\x01'));
  huge.send(std::string(1 << 20, 'x'));
  CHECK(huge.closed_within(60s));
  auto good = house.open("events.sock", zmq::socket_type::sub);
  good.socket().set(zmq::sockopt::subscribe, "alert");
  house.await_subscriptions(good);
  caf::anon_send(house.outbox, actors::event{"alert", "{}"});
  CHECK(good.receive_frames() == std::vector<std::string>{"alert", "1", "{}"});
}
