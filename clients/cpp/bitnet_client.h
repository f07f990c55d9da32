// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

/// A client of bitnetd in one header, written from docs/protocol.md; needs cppzmq and
/// nlohmann/json.
///
///   bitnet::client daemon({.endpoint = "ipc:///run/bitnetd/front.sock"});
///   std::cout << daemon.run({{"prompt", "Hello"}})["text"];
///   daemon.stream({{"prompt", "Hello"}}, [](const auto& delta) { std::cout << delta["text"]; });
///
/// Every job it submits has an idempotency key, so that a request which is repeated (busy, silence,
/// restart) does not run twice. For one thread.
namespace bitnet {

using nlohmann::json;
using std::chrono::milliseconds;

/// An `error` of the daemon; `body` has code, name, msg, retry, field, …
struct refused : std::runtime_error {
  explicit refused(json what)
      : std::runtime_error(what.value("name", "error") + ": " + what.value("msg", "")),
        body(std::move(what)) {}
  [[nodiscard]] std::string name() const { return body.value("name", ""); }
  /// Nothing was started, and the same request may succeed later.
  [[nodiscard]] bool later() const { return body.value("retry", "") == "later"; }
  json body;
};

/// Nobody answers, or what answers does not speak BN1.
struct unreachable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct options {
  std::string endpoint;
  std::string server_key{}, secret_key{}; ///< 40 characters each, for a daemon that wants keys
  milliseconds heartbeat{5000};           ///< of silence, after which the daemon is asked for life
  milliseconds patience{30000};           ///< of silence, after which it counts as unreachable
  milliseconds retry_for{60000};          ///< how long `later` is tried again
};

class client {
public:
  explicit client(options how) : how_(std::move(how)) { connect(); }

  /// One request with one reply: status, result, list, cancel, models, … Throws refused.
  json ask(const std::string& type, const json& body) {
    const auto until = clock::now() + how_.retry_for;
    for (milliseconds pause{100};; pause = std::min(pause * 2, milliseconds{5000})) {
      const auto id = send(type, body);
      auto reply = receive(id);
      if (!reply) {
        reconnect();
        if (clock::now() >= until)
          throw unreachable("no answer from " + how_.endpoint);
        continue;
      }
      if (reply->type != "error")
        return std::move(reply->body);
      refused why(std::move(reply->body));
      if (!why.later() || clock::now() >= until)
        throw why;
      std::this_thread::sleep_for(
          milliseconds(why.body.value("retry_after_ms", std::int64_t{pause.count()})));
    }
  }

  /// Limits, role, state and epoch of the daemon.
  json hello() {
    auto out = ask("hello", {{"ver", {1}}, {"client", "bitnet_client.h/1"}});
    limits_ = out.value("limits", json::object());
    return out;
  }

  /// A durable job is on its way: what `accepted` says. It survives this program and the daemon.
  json submit(json body) {
    body["mode"] = "job";
    prepare(body);
    return ask("submit", body);
  }

  /// A job to its end, across restarts of the daemon: its `result`. Throws refused, also for a job
  /// that did not end well (then body has `job` and `state`).
  json run(json body) {
    const auto job = submit(std::move(body)).at("job").get<std::string>();
    for (;;) {
      auto reply = ask("result", {{"job", job}, {"wait_ms", wait_ms()}});
      if (!reply.contains("jobs")) { // else it is a status: not ended yet
        if (reply.contains("error"))
          throw refused(std::move(reply["error"]));
        return reply;
      }
    }
  }

  /// A durable stream: `on_delta` gets every delta once, in order and without gaps, whatever
  /// becomes of the connection or the daemon meanwhile. Returns the result. A power loss that took
  /// a part which was already told is an unreachable error: those words cannot be taken back.
  json stream(json body, const std::function<void(const json& delta)>& on_delta) {
    body["mode"] = "stream";
    body["durable"] = true;
    body["credit"] = credit;
    prepare(body);
    progress at;
    auto id = send("submit", body);
    for (;;) {
      auto reply = receive(id);
      if (!reply) { // silence: another connection, and on where we were
        reconnect();
        id = at.job.empty()
                 ? send("submit", body)
                 : send("attach", {{"job", at.job}, {"off", at.off}, {"credit", credit}});
      } else if (reply->type == "delta") {
        take_delta(std::move(reply->body), at, on_delta);
      } else if (reply->type == "result") {
        return finish(std::move(reply->body), at, on_delta);
      } else if (reply->type == "error") {
        throw refused(std::move(reply->body));
      } else if (reply->type == "rewound") {
        throw unreachable("the daemon lost a part of the answer that was told already");
      } else if (reply->type == "accepted") {
        at.job = reply->body.at("job").get<std::string>();
      }
    }
  }

private:
  using clock = std::chrono::steady_clock;
  static constexpr int credit = 64;

  struct message {
    std::string type, id;
    json body;
  };
  struct progress {
    std::string job;
    std::uint64_t off = 0; ///< bytes of the answer that were told
    int used = 0;          ///< credit
  };

  void connect() {
    socket_.emplace(context_, zmq::socket_type::dealer);
    socket_->set(zmq::sockopt::linger, 0);
    socket_->set(zmq::sockopt::sndtimeo, static_cast<int>(how_.patience.count()));
    if (!how_.server_key.empty()) {
      char open[41];
      if (zmq_curve_public(open, how_.secret_key.c_str()) != 0)
        throw unreachable("the secret key is none");
      socket_->set(zmq::sockopt::curve_serverkey, how_.server_key);
      socket_->set(zmq::sockopt::curve_publickey, std::string(open));
      socket_->set(zmq::sockopt::curve_secretkey, how_.secret_key);
    }
    socket_->connect(how_.endpoint);
  }
  // A new socket: what was meant for the old one does not arrive on it.
  void reconnect() {
    connect();
    epoch_.clear();
  }

  std::string send(const std::string& type, const json& body) {
    const auto id = std::to_string(++last_id_);
    const auto text = body.dump();
    const auto put = [this](const std::string& frame, zmq::send_flags flags) {
      if (!socket_->send(zmq::buffer(frame), flags))
        throw unreachable(how_.endpoint + " takes no messages");
    };
    put("BN1", zmq::send_flags::sndmore);
    put(type, zmq::send_flags::sndmore);
    put(id, zmq::send_flags::sndmore);
    put(text, zmq::send_flags::none);
    return id;
  }

  // The next reply to `id`; nothing when the daemon is silent or another one than before. While a
  // reply takes its time the daemon is asked whether it lives, and whether it is the same process.
  std::optional<message> receive(const std::string& id) {
    auto heard = clock::now();
    for (;;) {
      auto next = read(how_.heartbeat);
      if (!next) {
        if (clock::now() - heard > how_.patience)
          return std::nullopt;
        send("ping", json::object());
        continue;
      }
      heard = clock::now();
      if (next->type == "goodbye")
        return std::nullopt;
      if (next->body.contains("epoch") && !same_epoch(next->body["epoch"].get<std::string>()))
        return std::nullopt;
      // An answer to something that could not be read comes with an empty id.
      if (next->id == id || (next->id.empty() && next->type == "error"))
        return next;
    }
  }

  bool same_epoch(const std::string& now) {
    const bool same = epoch_.empty() || epoch_ == now;
    epoch_ = now;
    return same;
  }

  std::optional<message> read(milliseconds timeout) {
    socket_->set(zmq::sockopt::rcvtimeo, static_cast<int>(timeout.count()));
    std::vector<std::string> frames;
    zmq::message_t frame;
    do {
      if (!socket_->recv(frame))
        return std::nullopt;
      frames.push_back(frame.to_string());
    } while (frame.more());
    if (frames.size() != 4 || frames[0] != "BN1")
      throw unreachable("what answers at " + how_.endpoint + " does not speak BN1");
    return message{frames[1], frames[2], json::parse(frames[3])};
  }

  // A key of one's own, and the daemon's limits before anything is sent.
  void prepare(json& body) {
    if (limits_.empty())
      hello();
    if (!body.contains("key"))
      body["key"] = random_key();
    if (body.dump().size() > limits_.value("body", std::uint64_t{8} << 20))
      throw refused({{"name", "E_TOO_BIG"}, {"code", 104}, {"msg", "above limits.body: not sent"}});
    if (body.contains("items") &&
        body["items"].size() > limits_.value("batch_items", std::uint64_t{50000}))
      throw refused({{"name", "E_TOO_BIG"}, {"code", 104}, {"msg", "too many items: not sent"}});
  }

  static std::string random_key() {
    std::random_device device;
    std::string out;
    for (int i = 0; i < 4; ++i)
      out += std::to_string(device()) + (i < 3 ? "-" : "");
    return out;
  }

  std::int64_t wait_ms() const { return std::min<std::int64_t>(how_.patience.count() / 2, 60'000); }

  void take_delta(json delta, progress& at, const std::function<void(const json&)>& on_delta) {
    const auto off = delta.at("off").get<std::uint64_t>();
    if (off != at.off)
      throw unreachable("the daemon told another part of the answer than the next");
    at.off += delta.at("text").get_ref<const std::string&>().size();
    on_delta(delta);
    if (++at.used >= credit / 2) {
      send("credit", {{"job", delta.at("job")}, {"n", std::exchange(at.used, 0)}});
    }
  }

  // What deltas did not cover stands in the result: it is told as a last one.
  json finish(json result, progress& at, const std::function<void(const json&)>& on_delta) {
    if (result.contains("error"))
      throw refused(std::move(result["error"]));
    const auto text = result.value("text", "");
    if (text.size() > at.off)
      on_delta({{"job", result["job"]}, {"off", at.off}, {"text", text.substr(at.off)}});
    return result;
  }

  options how_;
  zmq::context_t context_{1};
  std::optional<zmq::socket_t> socket_;
  json limits_ = json::object();
  std::string epoch_;
  std::uint64_t last_id_ = 0;
};

} // namespace bitnet
