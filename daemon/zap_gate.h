// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "conf/config.h"

#include <zmq.hpp>

#include <cstdint>
#include <optional>

namespace bitnetd::daemon {

/// Tells libzmq which keys may connect to the sockets with `curve` (ZAP, ZeroMQ RFC 27). A client
/// proves with its handshake that it holds the secret half; here its public half must be one of
/// `client_keys`. From then on every message of the connection carries the key as "User-Id".
/// Belongs to the front's thread: a handshake waits for it, nothing else does.
class zap_gate {
public:
  /// Binds ZAP's well-known address in the context; to be done before any socket with curve.
  explicit zap_gate(zmq::context_t& context);

  [[nodiscard]] void* handle() { return socket_.handle(); }
  /// Answers up to `most` handshakes that wait. Refusals are logged, at most once a second.
  void answer_some(int most, const conf::config& config, mono_time now);

private:
  [[nodiscard]] bool answer_one(const conf::config& config);
  void log_refusals(mono_time now);

  zmq::socket_t socket_;
  std::uint64_t refused_ = 0; ///< not logged yet
  std::optional<mono_time> logged_;
};

} // namespace bitnetd::daemon
