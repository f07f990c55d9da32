// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bitnetd::ctl {

using nlohmann::json;
using std::chrono::milliseconds;

/// Nobody answers at the endpoint, or not in time.
struct no_daemon : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One reply.
struct message {
  std::string type, id;
  json body;

  [[nodiscard]] bool is_error() const noexcept { return type == "error"; }
};

/// For a socket with CURVE: the server's public and one's own secret key; empty for others.
struct curve_keys {
  std::string server, secret;
};

/// A conversation with one socket of the daemon. Every wait ends.
class connection {
public:
  /// Looks whether somebody listens: libzmq would go on connecting for ever. Throws no_daemon.
  explicit connection(std::string endpoint, const curve_keys& keys = {});

  /// Sends a request and returns its message id.
  std::string send(std::string_view type, const json& body);
  /// The next reply, to whatever request. Throws no_daemon after `timeout`, and when the daemon
  /// says goodbye.
  [[nodiscard]] message receive(milliseconds timeout);
  /// Sends and waits for the one reply to it.
  [[nodiscard]] message ask(std::string_view type, const json& body, milliseconds timeout);

  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }

private:
  std::string endpoint_;
  zmq::context_t context_{1};
  zmq::socket_t socket_;
  std::uint64_t next_id_ = 1;
};

} // namespace bitnetd::ctl
