// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace queues {

using clock = std::chrono::steady_clock;

/// Some connections to one queue, each with one durable push under way at a time.
class peer {
public:
  virtual ~peer() = default;
  /// Sends the next push of this connection.
  virtual void push(std::size_t connection) = 0;
  /// Waits for acknowledgements, at most so long; the connections that got theirs. Throws when a
  /// push was refused.
  virtual std::vector<std::size_t> wait(std::chrono::milliseconds most) = 0;
};

/// `address` is host:port of a TCP socket, or ipc://PATH.
std::unique_ptr<peer> connect_to(const std::string& kind, const std::string& address, std::size_t n,
                                 std::size_t bytes);

} // namespace queues
