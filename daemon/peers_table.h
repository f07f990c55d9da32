// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/outbound_queue.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::daemon {

/// One submit that will be answered further, as the front needs to remember it.
struct open_request {
  std::string principal;
  std::string key;               ///< the client's public key; empty: a socket without keys
  bool ends_with_accept = false; ///< mode job without wait
  bool cancel_if_gone = false;
  bool durable = false;
  std::optional<actors::job_id> job;   ///< known from `accepted` on
  std::optional<actors::job_id> reads; ///< of attach: the job whose output is read
};

/// What a peer leaves behind when it goes.
struct orphans {
  std::vector<std::pair<std::string, actors::job_id>> cancelled; ///< principal, job
  std::vector<actors::job_id> detached;
};

/// A connection: socket index and routing id.
using peer_key = std::pair<std::uint32_t, std::string>;

/// What waits for peers that do not read, and which submits each has open. Bounded in bytes per
/// peer and in all: a peer beyond it is forgotten (drop). One thread.
class peers_table {
public:
  struct bounds {
    std::size_t per_peer_bytes = 8u << 20, all_bytes = 256u << 20;
  };

  explicit peers_table(bounds most) : most_(most) {}

  /// A submit of this peer was handed on under this message id.
  void opened(const peer_key& peer, const std::string& tag, open_request request);
  /// A reply goes out: learns the job's id, forgets a request that it ends.
  void answered(const outbound& reply);

  /// The peer reads this job no more: its attaches will not be answered.
  void detached(const peer_key& peer, const actors::job_id& job);

  /// True when earlier replies wait: this one has to wait behind them.
  [[nodiscard]] bool has_pending(const peer_key& peer) const;
  /// Keeps a reply that could not be sent. False when that exceeds a bound: the caller drops the
  /// peer. One reply of any size is kept where nothing else waits.
  [[nodiscard]] bool keep(const peer_key& peer, outbound reply);

  /// Tries every waiting reply again, oldest first per peer. `send` returns whether it went; it
  /// must not call back into the table.
  void retry(const std::function<bool(const outbound&)>& send);

  /// Forgets a peer; the jobs that its going cancels, and those it read.
  [[nodiscard]] orphans drop(const peer_key& peer);

  [[nodiscard]] bool anything_pending() const noexcept { return all_bytes_ > 0; }
  [[nodiscard]] std::size_t pending_bytes() const noexcept { return all_bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return peers_.size(); }

  /// Peers that asked with a key that is not good any more.
  [[nodiscard]] std::vector<peer_key>
  without_right(const std::function<bool(const std::string& key)>& is_good) const;

  /// Peers with open requests, and whether one of them is durable: for `goodbye`.
  [[nodiscard]] std::vector<std::pair<peer_key, bool>> waiting() const;

private:
  struct peer {
    std::map<std::string, open_request> open; ///< by message id
    std::deque<outbound> pending;
    std::size_t bytes = 0;
  };

  void forget_if_idle(const peer_key& key);

  bounds most_;
  std::map<peer_key, peer> peers_;
  std::set<peer_key> slow_; ///< those with something pending
  std::size_t all_bytes_ = 0;
};

} // namespace bitnetd::daemon
