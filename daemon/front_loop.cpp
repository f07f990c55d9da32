// SPDX-License-Identifier: MIT
#include "daemon/front_loop.h"

#include "base/fault.h"
#include "base/log.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bitnetd::daemon {

namespace {

// Messages taken from one socket before the others and the replies get their turn.
constexpr int receives_per_wake = 64;
// A peer whose pipe is full is tried again after 1 ms, 2 ms, … up to this: ZeroMQ cannot say when
// one peer of a ROUTER has room again.
constexpr int max_retry_ms = 32;

} // namespace

front_loop::front_loop(front_options options, std::shared_ptr<outbound_queue> queue,
                       std::string epoch)
    : options_(std::move(options)), queue_(std::move(queue)), epoch_(std::move(epoch)), context_(1),
      lock_(options_.config->runtime_directory), peers_(options_.kept) {
  const auto& config = *options_.config;
  // Before the sockets: without it libzmq would let every key in.
  if (std::ranges::any_of(config.sockets, &conf::socket_config::curve))
    gate_.emplace(context_);
  for (const auto& settings : config.sockets) {
    if (settings.kind == "xpub") {
      events_.emplace_back(context_, settings, config.runtime_directory);
      events_endpoint_ = "ipc://" + events_.back().file().native();
    } else {
      routers_.emplace_back(context_, settings, config);
    }
  }
  apply(options_.config);
}

front_loop::~front_loop() { stop(); }

void front_loop::start() {
  thread_ = std::thread([this] { run(); });
}

void front_loop::stop() {
  if (!thread_.joinable())
    return;
  queue_->push(stop_front{});
  thread_.join();
}

void front_loop::run() {
  while (!stopping_) {
    poll();
    if (gate_)
      gate_->answer_some(receives_per_wake, *config_, options_.time->mono());
    for (std::uint32_t i = 0; i < routers_.size(); ++i)
      receive_some(i);
    for (auto& events : events_)
      events.drain_subscriptions(receives_per_wake);
    mail_.flush(); // what was read is on its way while replies are written
    drain_queue();
    retry_pending();
    mail_.flush();
  }
  say_goodbye();
  routers_.clear();
  events_.clear();
  gate_.reset();
  actors_.reset(); // the actor system waits until nobody holds a handle
}

void front_loop::poll() {
  std::vector<zmq::pollitem_t> items;
  for (auto& router : routers_)
    items.push_back({router.handle(), 0, ZMQ_POLLIN, 0});
  for (auto& events : events_)
    items.push_back({events.handle(), 0, ZMQ_POLLIN, 0});
  if (gate_)
    items.push_back({gate_->handle(), 0, ZMQ_POLLIN, 0});
  items.push_back({nullptr, queue_->fd(), ZMQ_POLLIN, 0});
  const long wait_ms = peers_.anything_pending() ? retry_ms_ : -1;
  if (::zmq_poll(items.data(), static_cast<int>(items.size()), wait_ms) < 0 && zmq_errno() != EINTR)
    log::error("front: poll: {}", zmq_strerror(zmq_errno()));
}

void front_loop::receive_some(std::uint32_t socket) {
  auto since = options_.time->mono();
  for (int i = 0; i < receives_per_wake; ++i) {
    const auto message = routers_[socket].receive();
    if (!message)
      return;
    on_message(socket, *message);
    if (const auto now = options_.time->mono(); now - since > actors::longest_hold) {
      mail_.flush();
      since = now;
    }
  }
}

void front_loop::drain_queue() {
  for (auto& message : queue_->take())
    std::visit([this](auto&& one) { handle(std::move(one)); }, std::move(message));
}

void front_loop::retry_pending() {
  if (!peers_.anything_pending())
    return;
  bool progress = false;
  peers_.retry([&](const outbound& reply) {
    const auto outcome = try_send(reply);
    progress |= outcome != sent::full;
    if (outcome == sent::gone)
      gone_.emplace_back(reply.to.socket, reply.to.peer);
    return outcome != sent::full;
  });
  retry_ms_ = progress ? 1 : std::min(retry_ms_ * 2, max_retry_ms);
  for (const auto& peer : std::exchange(gone_, {}))
    drop_peer(peer);
}

void front_loop::say_goodbye() {
  for (const auto& [peer, durable] : peers_.waiting()) {
    const auto& [socket, id] = peer;
    // No waiting for those who do not read: the daemon is going.
    [[maybe_unused]] const auto outcome = routers_[socket].send(
        id, false, "goodbye", "", wire::encode(wire::goodbye{"shutdown", durable}));
  }
}

void front_loop::handle(outbound&& reply) {
  accounts_.release(reply.principal, reply.release_jobs, reply.release_bytes,
                    options_.time->mono());
  if (reply.type.empty() || reply.to.peer.empty() || reply.to.socket >= routers_.size())
    return; // nothing to say, or nobody to say it to
  deliver(std::move(reply));
}

void front_loop::handle(actors::event&& event) {
  for (auto& socket : events_)
    if (socket.may_see(event.principal))
      socket.send(event.topic, event.body);
}

void front_loop::handle(actors::peers_ptr&& peers) { actors_ = std::move(peers); }

void front_loop::handle(conf::config_ptr&& config) {
  BITNETD_FAULT_POINT("front.configure");
  apply(config);
}

void front_loop::handle(stop_front&&) { stopping_ = true; }

void front_loop::apply(const conf::config_ptr& config) {
  config_ = config;
  for (const auto& peer : peers_.without_right(
           [this](const std::string& key) { return config_->client_keys.contains(key); }))
    drop_peer(peer);
}

// A key may be taken back, or given to another principal, while a reply is under way.
bool front_loop::may_still_have(const outbound& reply) const {
  if (reply.to.key.empty())
    return true;
  const auto known = config_->client_keys.find(reply.to.key);
  return known != config_->client_keys.end() &&
         (reply.principal.empty() || reply.principal == known->second);
}

sent front_loop::try_send(const outbound& reply) {
  if (!may_still_have(reply))
    return sent::gone;
  return routers_[reply.to.socket].send(reply.to.peer, reply.to.delimiter, reply.type, reply.to.tag,
                                        reply.body);
}

void front_loop::deliver(outbound&& reply) {
  BITNETD_FAULT_POINT("front.reply");
  const peer_key peer{reply.to.socket, reply.to.peer};
  const auto outcome = peers_.has_pending(peer) ? sent::full : try_send(reply);
  // Before the reply moves, and before a drop looks at what the peer has open.
  peers_.answered(reply);
  if (outcome == sent::gone || (outcome == sent::full && !peers_.keep(peer, std::move(reply))))
    drop_peer(peer);
}

void front_loop::drop_peer(const peer_key& peer) {
  const auto left = peers_.drop(peer);
  if (!actors_)
    return;
  for (const auto& [principal, job] : left.cancelled) {
    actors::query cancel;
    cancel.principal = principal;
    cancel.jobs.push_back(job);
    mail_.send(actors_->analyzer, actors::cancel_atom_v, std::move(cancel));
  }
  for (const auto& job : left.detached) {
    actors::query detach;
    detach.reply_to.socket = peer.first;
    detach.reply_to.peer = peer.second; // who it was; the answer finds nobody
    detach.jobs.push_back(job);
    mail_.send(actors_->ledger, actors::detach_atom_v, std::move(detach));
  }
}

void front_loop::answer(const actors::route& to, std::string_view type, std::string body) {
  outbound reply;
  reply.to = to;
  reply.type = type;
  reply.body = std::move(body);
  deliver(std::move(reply));
}

void front_loop::refuse(const actors::route& to, const wire::refusal& why) {
  answer(to, "error", wire::encode(wire::error(why)));
}

} // namespace bitnetd::daemon
