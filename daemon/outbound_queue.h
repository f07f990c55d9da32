// SPDX-License-Identifier: MIT
#pragma once

#include "actors/interfaces.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace bitnetd::daemon {

/// How the daemon is, as `welcome` and `pong` tell it.
enum class front_state { starting, ready, draining };

/// One message to one peer, as it goes out.
struct outbound {
  actors::route to;
  std::string type, body;
  std::optional<actors::job_id> job; ///< of accepted and delta: what to cancel if the peer is gone
  std::string principal;             ///< whose account is relieved
  std::uint32_t release_jobs = 0;
  std::uint64_t release_bytes = 0;

  [[nodiscard]] bool is_delta() const noexcept { return type == "delta"; }
  /// More follows under the same message id.
  [[nodiscard]] bool is_partial() const noexcept {
    return is_delta() || type == "item" || type == "progress" || type == "rewound";
  }
};

/// The journal lost something before this start: `ready` is told as `degraded`.
struct journal_damaged {};

/// Ends the front's thread.
struct stop_front {};

/// What the pipeline tells the front.
using front_message = std::variant<outbound, actors::event, actors::peers_ptr, conf::config_ptr,
                                   front_state, journal_damaged, stop_front>;

/// The way from the actors to the front's thread: a queue and an eventfd that a poll can wait on.
/// Any thread may push; it never waits for the front. Bounded by bytes: beyond the bound deltas and
/// events are dropped (the result repeats all text, events are numbered), everything else is
/// bounded by the count of open jobs and goes in.
class outbound_queue {
public:
  explicit outbound_queue(std::size_t max_bytes = 64u << 20);
  ~outbound_queue();
  outbound_queue(const outbound_queue&) = delete;
  outbound_queue& operator=(const outbound_queue&) = delete;

  void push(front_message message);
  /// All at once, in this order.
  void push(std::vector<front_message> messages);

  /// Takes everything and resets the eventfd. For the front's thread.
  [[nodiscard]] std::deque<front_message> take();

  /// Readable while something waits.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

private:
  void keep(front_message message);

  const std::size_t max_bytes_;
  int fd_ = -1;
  std::mutex mutex_;
  std::deque<front_message> messages_;
  std::size_t bytes_ = 0;
  std::atomic<std::uint64_t> dropped_{0};
};

} // namespace bitnetd::daemon
