// SPDX-License-Identifier: MIT
#include "daemon/front_sockets.h"

#include "conf/endpoint.h"
#include "daemon/server_key.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bitnetd::daemon {

namespace {

// Per peer. Enough to keep a pipelining client busy; what a silent one can hold here is this many
// messages, and what it does not read beyond that is counted in bytes (peers_table.h).
constexpr int send_hwm = 256;
constexpr int receive_hwm = 64;
// What is written when the daemon ends may take this long to leave.
constexpr int linger_ms = 500;
// Above limits.body on sockets with keys: what surrounds a body is small.
constexpr std::uint64_t curve_frame_slack = 64u << 10;
// A subscription is a topic's name. libzmq walks long ones recursively.
constexpr std::int64_t max_subscription_bytes = 64;

void set_common_options(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::linger, linger_ms);
  socket.set(zmq::sockopt::sndhwm, send_hwm);
  socket.set(zmq::sockopt::rcvhwm, receive_hwm);
  socket.set(zmq::sockopt::handshake_ivl, 2000); // silent and foreign connections end after 2 s
  socket.set(zmq::sockopt::heartbeat_ivl, static_cast<int>(heartbeat_ms));
  socket.set(zmq::sockopt::heartbeat_timeout, 15'000);
  socket.set(zmq::sockopt::heartbeat_ttl, 20'000);
  socket.set(zmq::sockopt::backlog, 1024);
}

// Binds so that nobody but the owner can connect before the mode is set: bind(2) honours umask.
void bind_file(zmq::socket_t& socket, const std::filesystem::path& file, std::uint32_t mode) {
  clear_stale_socket(file);
  const auto previous = ::umask(0177);
  std::string problem;
  try {
    socket.bind("ipc://" + file.native());
  } catch (const zmq::error_t& error) {
    problem = error.what();
  }
  ::umask(previous);
  if (!problem.empty())
    throw front_error("socket " + file.native() + ": cannot listen: " + problem);
  if (::chmod(file.c_str(), static_cast<mode_t>(mode)) != 0)
    throw front_error("socket " + file.native() +
                      ": cannot set its mode: " + std::system_category().message(errno));
}

void bind_port(zmq::socket_t& socket, const std::string& endpoint) {
  try {
    socket.set(zmq::sockopt::ipv6, true);
    socket.bind(endpoint);
  } catch (const zmq::error_t& error) {
    throw front_error("socket " + endpoint + ": cannot listen: " + error.what());
  }
}

bool put(void* socket, std::string_view frame, int flags) {
  return ::zmq_send(socket, frame.data(), frame.size(), flags) >= 0;
}

} // namespace

std::vector<std::string_view> incoming::views() const {
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < std::min(n_frames, frames.size()); ++i)
    out.emplace_back(static_cast<const char*>(frames[i].data()), frames[i].size());
  return out;
}

std::string incoming::client_key() const {
  // Set by zap_gate on what the client sent, not on the routing id; cppzmq's gets() throws where
  // there is none.
  const char* const id = ::zmq_msg_gets(frames.front().handle(), "User-Id");
  return id == nullptr ? std::string{} : std::string{id};
}

router_socket::router_socket(zmq::context_t& context, const conf::socket_config& settings,
                             const conf::config& config)
    : settings_(settings), socket_(context, zmq::socket_type::router) {
  set_common_options(socket_);
  // Without it libzmq drops what a peer does not take and says it was sent.
  socket_.set(zmq::sockopt::router_mandatory, true);
  if (settings.curve) {
    // Whoever has a key is still a stranger: no larger frame than a request needs.
    most_frame_bytes_ =
        std::min<std::uint64_t>(max_frame_bytes, config.limits.body_bytes + curve_frame_slack);
    socket_.set(zmq::sockopt::zap_domain, settings.name);
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::curve_secretkey, read_server_key(config.server_key));
  }
  // libzmq measures what comes, encrypted: command name, nonce, box and flags are 33 bytes more.
  const std::uint64_t on_the_wire = most_frame_bytes_ + (settings.curve ? 33 : 0);
  socket_.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(on_the_wire));
  if (conf::is_tcp(settings.endpoint)) {
    bind_port(socket_, settings.endpoint);
  } else {
    file_ = ipc_file(settings.endpoint, config.runtime_directory);
    bind_file(socket_, file_, settings.mode);
  }
}

router_socket::~router_socket() {
  if (socket_ && !file_.empty()) // not moved from
    ::unlink(file_.c_str());
}

std::optional<incoming> router_socket::receive() {
  incoming in;
  if (!socket_.recv(in.peer, zmq::recv_flags::dontwait))
    return {};
  bool more = in.peer.more();
  while (more) { // the rest of a message is there when its first frame is
    zmq::message_t frame;
    if (!socket_.recv(frame, zmq::recv_flags::dontwait))
      break;
    more = frame.more();
    if (in.n_frames < in.frames.size())
      in.frames[in.n_frames] = std::move(frame);
    ++in.n_frames;
  }
  return in;
}

sent router_socket::send(std::string_view peer, bool delimiter, std::string_view type,
                         std::string_view id, std::string_view body) {
  void* const out = socket_.handle();
  constexpr int more = ZMQ_DONTWAIT | ZMQ_SNDMORE;
  // Only the routing id is ever refused: libzmq checks the peer's room once per message.
  if (!put(out, peer, more))
    return zmq_errno() == EAGAIN ? sent::full : sent::gone;
  if (delimiter && !put(out, "", more))
    return sent::gone;
  const bool whole = put(out, wire::version_frame, more) && put(out, type, more) &&
                     put(out, id, more) && put(out, body, ZMQ_DONTWAIT);
  return whole ? sent::yes : sent::gone;
}

events_socket::events_socket(zmq::context_t& context, const conf::socket_config& settings,
                             const std::filesystem::path& runtime_directory)
    : settings_(settings), file_(ipc_file(settings.endpoint, runtime_directory)),
      socket_(context, zmq::socket_type::xpub) {
  set_common_options(socket_);
  socket_.set(zmq::sockopt::sndhwm, 1000);
  socket_.set(zmq::sockopt::maxmsgsize, max_subscription_bytes);
  bind_file(socket_, file_, settings.mode);
}

events_socket::~events_socket() {
  if (socket_)
    ::unlink(file_.c_str());
}

void events_socket::drain_subscriptions(int most) {
  zmq::message_t frame;
  while (most-- > 0 && socket_.recv(frame, zmq::recv_flags::dontwait)) {
  }
}

void events_socket::send(const std::string& topic, std::string_view body) {
  void* const out = socket_.handle();
  constexpr int more = ZMQ_DONTWAIT | ZMQ_SNDMORE;
  // A slow subscriber loses events and sees it by their numbers; XPUB itself never refuses.
  if (put(out, topic, more) && put(out, std::to_string(++numbers_[topic]), more))
    put(out, body, ZMQ_DONTWAIT);
}

} // namespace bitnetd::daemon
