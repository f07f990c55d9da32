// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"
#include "conf/config.h"
#include "daemon/front_address.h"
#include "daemon/outbound_queue.h"
#include "daemon/peers_table.h"

#include <memory>
#include <string>

namespace bitnetd::daemon {

class front_loop;

struct front_options {
  conf::config_ptr config; ///< sockets, runtime directory, and the first limits
  std::string version;     ///< of the program
  std::shared_ptr<const clock> time = std::make_shared<system_clock>();
  peers_table::bounds kept = {}; ///< for peers that do not read
  std::size_t queue_bytes = 64u << 20;
};

/// The FRONT: a thread that owns every socket.
///
///   clients ⇄ ROUTER, XPUB ─ front ─submit, query, admin_request▶ actors
///                              ▲                                     │
///                              └─ queue + eventfd ◀─ outbox ◀─reply──┘
///
/// It parses and checks requests, answers hello, ping and malformed ones itself, counts what each
/// principal has open and refuses above the limits. It never waits for a client, an actor or a
/// disk. Until `connect` has come through the outbox, requests are answered with E_STARTING.
class front {
public:
  /// Binds every configured socket (so that a second daemon fails before it loads a model) and
  /// starts the thread. Throws front_error. Signals should be blocked by the caller: the thread
  /// inherits its mask.
  explicit front(front_options options);
  ~front();
  front(const front&) = delete;
  front& operator=(const front&) = delete;

  /// Where the outbox writes.
  [[nodiscard]] std::shared_ptr<outbound_queue> queue() const noexcept { return queue_; }
  /// Random per start: 16 hexadecimal digits.
  [[nodiscard]] const std::string& epoch() const noexcept { return epoch_; }

  /// Any thread may call.
  void set_state(front_state state) noexcept;

  /// Sends what is queued, says goodbye to those who wait, closes and removes the sockets.
  void stop();

private:
  std::shared_ptr<outbound_queue> queue_;
  std::string epoch_;
  std::unique_ptr<front_loop> loop_;
};

} // namespace bitnetd::daemon
