// SPDX-License-Identifier: MIT
#include "clients/bitnetctl/connection.h"

#include "daemon/wire_frames.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace bitnetd::ctl {

namespace {

constexpr std::string_view ipc = "ipc://";

void use_keys(zmq::socket_t& socket, const curve_keys& keys) {
  std::array<char, 41> own{};
  if (::zmq_curve_public(own.data(), keys.secret.c_str()) != 0)
    throw no_daemon("the secret key cannot be used");
  socket.set(zmq::sockopt::curve_serverkey, keys.server);
  socket.set(zmq::sockopt::curve_publickey, std::string{own.data()});
  socket.set(zmq::sockopt::curve_secretkey, keys.secret);
}

void check_listening(const std::string& endpoint) {
  const auto path = endpoint.substr(ipc.size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    throw no_daemon(path + ": expected the path of a socket, of 1 to 107 bytes");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = rc == 0 ? 0 : errno;
  ::close(fd);
  if (error == EACCES)
    throw no_daemon(path + ": permission denied; are you in the group of the socket?");
  if (error != 0)
    throw no_daemon("no bitnetd answers at " + path + " (" + std::system_category().message(error) +
                    "); is it running? Name its socket with --socket or $BITNETD_SOCKET");
}

} // namespace

connection::connection(std::string endpoint, const curve_keys& keys)
    : endpoint_(std::move(endpoint)), socket_(context_, zmq::socket_type::dealer) {
  if (endpoint_.starts_with(ipc))
    check_listening(endpoint_);
  if (!keys.server.empty())
    use_keys(socket_, keys);
  socket_.set(zmq::sockopt::linger, 0);
  socket_.set(zmq::sockopt::heartbeat_ivl, 5000);
  socket_.set(zmq::sockopt::heartbeat_timeout, 15'000);
  socket_.connect(endpoint_);
}

std::string connection::send(std::string_view type, const json& body) {
  auto id = std::to_string(next_id_++);
  const auto text = body.dump(-1, ' ', false, json::error_handler_t::replace);
  socket_.set(zmq::sockopt::sndtimeo, 10'000);
  const auto put = [this](std::string_view frame, zmq::send_flags flags) {
    if (!socket_.send(zmq::buffer(frame), flags))
      throw no_daemon("the daemon does not take messages");
  };
  put(wire::version_frame, zmq::send_flags::sndmore);
  put(type, zmq::send_flags::sndmore);
  put(id, zmq::send_flags::sndmore);
  put(text, zmq::send_flags::none);
  return id;
}

message connection::receive(milliseconds timeout) {
  socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(timeout.count()));
  std::vector<std::string> frames;
  zmq::message_t frame;
  do {
    if (!socket_.recv(frame))
      throw no_daemon("no answer within " + std::to_string(timeout.count()) + " ms from " +
                      endpoint_ +
                      (endpoint_.starts_with(ipc) ? ""
                                                  : "; is it running, and is this key one of "
                                                    "its clients' (bitnetctl keys ls)?"));
    frames.push_back(frame.to_string());
  } while (frame.more());
  if (frames.size() != 4 || frames[0] != wire::version_frame)
    throw no_daemon("what answers at " + endpoint_ + " does not speak BN1");
  message out{frames[1], frames[2], json::parse(frames[3], nullptr, false)};
  if (out.body.is_discarded())
    throw no_daemon("what answers at " + endpoint_ + " does not send JSON");
  if (out.type == "goodbye")
    throw no_daemon("the daemon is shutting down" + std::string(out.body.value("resume", false)
                                                                    ? "; durable jobs go on later"
                                                                    : ""));
  return out;
}

message connection::ask(std::string_view type, const json& body, milliseconds timeout) {
  const auto id = send(type, body);
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
    auto reply = receive(std::max(milliseconds{1}, left));
    if (reply.id == id || reply.id.empty())
      return reply;
  }
}

} // namespace bitnetd::ctl
