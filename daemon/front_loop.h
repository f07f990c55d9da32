// SPDX-License-Identifier: MIT
#pragma once

#include "actors/outgoing.h"
#include "daemon/accounts.h"
#include "daemon/front.h"
#include "daemon/front_sockets.h"
#include "daemon/requests.h"
#include "daemon/wire_messages.h"
#include "daemon/wire_replies.h"
#include "daemon/zap_gate.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace bitnetd::daemon {

/// What the front's thread does and owns. After start() everything but set_state() and stop()
/// belongs to that thread.
class front_loop {
public:
  front_loop(front_options options, std::shared_ptr<outbound_queue> queue, std::string epoch);
  ~front_loop();

  void start();
  void set_state(front_state state) noexcept { state_ = state; }
  void stop();

private:
  // the loop (front_loop.cpp)
  void run();
  void poll();
  void receive_some(std::uint32_t socket);
  void drain_queue();
  void retry_pending();
  void say_goodbye();
  void handle(outbound&& reply);
  void handle(actors::event&& event);
  void handle(actors::peers_ptr&& peers);
  void handle(conf::config_ptr&& config);
  void handle(front_state&& state) { state_ = state; }
  void handle(journal_damaged&&) { damaged_ = true; }
  void handle(stop_front&&);
  void apply(const conf::config_ptr& config);

  // sending (front_loop.cpp)
  void deliver(outbound&& reply);
  [[nodiscard]] bool may_still_have(const outbound& reply) const;
  [[nodiscard]] sent try_send(const outbound& reply);
  void drop_peer(const peer_key& peer);
  void answer(const actors::route& to, std::string_view type, std::string body);
  void refuse(const actors::route& to, const wire::refusal& why);

  // requests (front_dispatch.cpp)
  [[nodiscard]] std::optional<wire::refusal> identify(const router_socket& socket, origin& who);
  void on_message(std::uint32_t socket, const incoming& message);
  void on_request(const origin& from, wire::request&& request, std::string_view type,
                  std::string_view body);
  void on(const origin& from, const wire::hello& what);
  void on(const origin& from, const wire::ping& what);
  void on_submit(const origin& from, wire::submit&& what, std::string_view body);
  void on_detach(const origin& from, const wire::detach& what);
  void on_attach(const origin& from, const wire::attach& what);
  void on_tokens(const origin& from, actors::token_query what, std::size_t body_bytes);
  /// Counts it for the principal; false: refused, it has too much open.
  [[nodiscard]] bool count(const origin& from, std::size_t jobs, std::size_t bytes);
  void on_admin(const origin& from, std::string_view type, const wire::request& request);
  [[nodiscard]] std::string_view state_text() const noexcept;

  front_options options_;
  std::shared_ptr<outbound_queue> queue_;
  std::string epoch_;
  std::atomic<front_state> state_{front_state::starting};
  bool stopping_ = false;
  bool damaged_ = false; ///< the journal lost something

  zmq::context_t context_;
  instance_lock lock_;
  std::optional<zap_gate> gate_; ///< where a socket wants keys
  std::vector<router_socket> routers_;
  std::vector<events_socket> events_;
  std::string events_endpoint_;

  conf::config_ptr config_;
  actors::peers_ptr actors_;
  actors::outgoing_run mail_; ///< what was read in this turn
  accounts accounts_;
  peers_table peers_;
  std::vector<peer_key> gone_; ///< seen while replies were sent again
  int retry_ms_ = 1;

  std::thread thread_;
};

} // namespace bitnetd::daemon
