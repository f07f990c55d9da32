// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"
#include "daemon/front.h"
#include "daemon/outbox.h"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/message_handler.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace bitnetd::daemon::test {

using nlohmann::json;
using namespace std::chrono_literals;

/// What the pipeline would have received, in order; filled by actors, read by the test.
template <class T> class record {
public:
  void add(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// The next value; fails the test after a minute without one.
  T next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, 60s, [this] { return !values_.empty(); }))
      throw std::runtime_error("the pipeline received nothing");
    T out = std::move(values_.front());
    values_.pop_front();
    return out;
  }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

/// Everything that the front hands on, by the message it came as.
struct pipeline_record {
  record<actors::request_ptr> submits;
  record<std::pair<std::string, actors::query>> queries; ///< with the atom's name
  record<actors::admin_request> admin;
};

/// One actor that takes whatever the front sends; stands for analyzer, ledger, responder and
/// supervisor. The pipeline's own tests are elsewhere: here only what leaves the front counts.
inline caf::behavior stand_in(caf::event_based_actor* self, pipeline_record* seen) {
  self->set_default_handler(caf::drop);
  const caf::message_handler one{
      [=](actors::submit_atom, const actors::request_ptr& what) { seen->submits.add(what); },
      [=](actors::cancel_atom, const actors::query& q) {
        seen->queries.add({"cancel", q});
      },
      [=](actors::credit_atom, const actors::query& q) {
        seen->queries.add({"credit", q});
      },
      [=](actors::status_atom, const actors::query& q) {
        seen->queries.add({"status", q});
      },
      [=](actors::result_atom, const actors::query& q) {
        seen->queries.add({"result", q});
      },
      [=](actors::list_atom, const actors::query& q) {
        seen->queries.add({"list", q});
      },
      [=](actors::ack_atom, const actors::query& q) {
        seen->queries.add({"ack", q});
      },
      [=](actors::attach_atom, const actors::query& q) {
        seen->queries.add({"attach", q});
      },
      [=](actors::detach_atom, const actors::query& q) {
        seen->queries.add({"detach", q});
      },
      [=](actors::manage_atom, const std::string& order, const actors::query& q) {
        seen->queries.add({order, q});
      },
      [=](actors::admin_atom, const actors::admin_request& r) { seen->admin.add(r); },
  };
  return one.or_else([one](actors::message_group& group) {
    for (auto& message : group.messages)
      (void)caf::message_handler{one}(message);
  });
}

struct message {
  std::string type, id;
  json body;
};

/// A new pair of CURVE keys.
struct curve_pair {
  std::string open, secret;
  curve_pair() {
    std::array<char, 41> a{}, b{};
    if (::zmq_curve_keypair(a.data(), b.data()) != 0)
      throw std::runtime_error("libzmq without CURVE");
    open = a.data();
    secret = b.data();
  }
};

/// A port of loopback that nobody listens on. Below those that the kernel gives to connections, so
/// that it stays free until the front has it.
inline std::string free_port() {
  static int last = 20'000 + ::getpid() % 10'000;
  for (int tried = 0; tried < 10'000; ++tried) {
    last = last + 1 < 32'000 ? last + 1 : 20'000;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(last));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (is_free)
      return "tcp://127.0.0.1:" + std::to_string(last);
  }
  throw std::runtime_error("no free port");
}

/// A client's socket. Every receive has a timeout.
class client {
public:
  client(zmq::context_t& context, const std::string& endpoint, const curve_pair& own,
         const std::string& server)
      : socket_(context, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, 60'000);
    socket_.set(zmq::sockopt::sndtimeo, 5000);
    socket_.set(zmq::sockopt::curve_serverkey, server);
    socket_.set(zmq::sockopt::curve_publickey, own.open);
    socket_.set(zmq::sockopt::curve_secretkey, own.secret);
    socket_.connect(endpoint);
  }
  client(zmq::context_t& context, const std::filesystem::path& file,
         zmq::socket_type type = zmq::socket_type::dealer, const std::string& routing_id = "")
      : socket_(context, type) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, 60'000);
    socket_.set(zmq::sockopt::sndtimeo, 5000);
    if (!routing_id.empty())
      socket_.set(zmq::sockopt::routing_id, routing_id);
    socket_.connect("ipc://" + file.native());
  }

  void send_frames(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto more = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      if (!socket_.send(zmq::buffer(frames[i]), more))
        throw std::runtime_error("the front does not take messages");
    }
  }
  void send(const std::string& type, const std::string& id, const std::string& body) {
    send_frames({"BN1", type, id, body});
  }

  std::vector<std::string> receive_frames() {
    std::vector<std::string> frames;
    zmq::message_t frame;
    do {
      if (!socket_.recv(frame))
        throw std::runtime_error("no reply");
      frames.push_back(frame.to_string());
    } while (frame.more());
    return frames;
  }
  message receive() {
    const auto frames = receive_frames();
    if (frames.size() != 4 || frames[0] != "BN1")
      throw std::runtime_error("not a reply of four frames");
    return {frames[1], frames[2], json::parse(frames[3])};
  }
  message ask(const std::string& type, const std::string& body, const std::string& id = "q") {
    send(type, id, body);
    return receive();
  }
  zmq::socket_t& socket() { return socket_; }

private:
  zmq::socket_t socket_;
};

/// A front with the three usual sockets in a directory of its own, and a stand-in behind it.
class front_fixture {
public:
  explicit front_fixture(conf::limits_config limits = {}, peers_table::bounds kept = {},
                         const std::function<void(conf::config&)>& change = nullptr) {
    auto config = std::make_shared<conf::config>();
    config->limits = limits;
    config->runtime_directory = directory.path;
    config->models = {{"tiny", "", "", false}};
    config->sockets = {
        {"front", "ipc://front.sock", "router", "local", conf::role::submit, 0660},
        {"admin", "ipc://admin.sock", "router", "local", conf::role::admin, 0600},
        {"read", "ipc://read.sock", "router", "watcher", conf::role::read, 0666},
        {"events", "ipc://events.sock", "xpub", "local", conf::role::read, 0660},
    };
    if (change)
      change(*config);
    configured = config;
    front_options options;
    options.config = config;
    options.version = "1.2.3";
    options.kept = kept;
    door.emplace(std::move(options));
    outbox = spawn_outbox(system, door->queue(), door->epoch());
    behind = system.spawn(stand_in, &seen);
  }
  ~front_fixture() {
    door.reset();
    caf::anon_send_exit(outbox, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(behind, caf::exit_reason::user_shutdown);
  }
  front_fixture(const front_fixture&) = delete;
  front_fixture& operator=(const front_fixture&) = delete;

  /// From now on requests are handed on.
  void connect_pipeline() {
    auto peers = std::make_shared<actors::peers>();
    peers->analyzer = caf::actor_cast<actors::analyzer_actor>(behind);
    peers->ledger = caf::actor_cast<actors::ledger_actor>(behind);
    peers->responder = caf::actor_cast<actors::responder_actor>(behind);
    peers->supervisor = caf::actor_cast<actors::supervisor_actor>(behind);
    caf::anon_send(outbox, actors::connect_atom_v, actors::peers_ptr(peers));
    door->set_state(front_state::ready);
    auto probe = open("front.sock"); // until it has arrived
    while (probe.ask("status", R"({"job":"x"})").body["name"] == "E_STARTING")
      std::this_thread::sleep_for(1ms);
  }

  client open(const char* name, zmq::socket_type type = zmq::socket_type::dealer,
              const std::string& routing_id = "") {
    return {context, directory.path / name, type, routing_id};
  }
  /// Returns when what `who` has subscribed to holds: subscriptions travel by themselves, in order.
  void await_subscriptions(client& who) {
    who.socket().set(zmq::sockopt::subscribe, "sync");
    who.socket().set(zmq::sockopt::rcvtimeo, 10);
    std::vector<std::string> heard;
    std::string sent;
    for (int i = 1; i <= 6000 && heard.empty(); ++i) {
      sent = std::to_string(i);
      caf::anon_send(outbox, actors::event{"sync", sent});
      try {
        heard = who.receive_frames();
      } catch (const std::runtime_error&) {
        // not yet
      }
    }
    who.socket().set(zmq::sockopt::rcvtimeo, 60'000);
    while (heard.at(2) != sent)
      heard = who.receive_frames();
  }
  void reply(actors::reply what) { caf::anon_send(outbox, std::move(what)); }
  void answer(const actors::request_ptr& to, decltype(actors::reply::what) what,
              bool release = false) {
    actors::reply out;
    out.to = to->reply_to;
    out.principal = to->principal;
    out.what = std::move(what);
    if (release) {
      out.release_jobs = static_cast<std::uint32_t>(to->items.size());
      out.release_bytes = to->body.size();
    }
    reply(std::move(out));
  }

  struct own_directory {
    std::filesystem::path path;
    own_directory() {
      std::string name = "/tmp/bitnetd-front-XXXXXX";
      if (::mkdtemp(name.data()) == nullptr)
        throw std::runtime_error("no temporary directory");
      path = name;
    }
    ~own_directory() { std::filesystem::remove_all(path); }
  };

  own_directory directory;
  conf::config_ptr configured; ///< as the front was started with
  zmq::context_t context{1};
  pipeline_record seen;
  caf::actor_system_config settings;
  caf::actor_system system{settings};
  std::optional<front> door;
  gate_actor outbox;
  caf::actor behind;
};

/// A job id that is well formed; `n` makes it different.
inline actors::job_id some_job(std::uint8_t n = 1) {
  auto id = *store::job_id::parse("0190163d-8694-739b-aea5-966c26f8ad00");
  id.bytes[15] = n;
  return id;
}

} // namespace bitnetd::daemon::test
