// SPDX-License-Identifier: MIT
#include "daemon/zap_gate.h"

#include "base/log.h"

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::daemon {

namespace {

constexpr const char* zap_address = "inproc://zeromq.zap.01";
constexpr std::size_t key_bytes = 32;
// Frames of a request: version, request id, domain, address, identity, mechanism, credentials.
enum zap_frame { version, request_id, domain, address, identity, mechanism, credentials, n_frames };

// The key as text, or nothing when the request is none of CURVE's.
std::string key_of(const std::vector<std::string>& request) {
  if (request.size() != n_frames || request[version] != "1.0" || request[mechanism] != "CURVE" ||
      request[credentials].size() != key_bytes)
    return {};
  std::array<char, 41> text{};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(request[credentials].data());
  return ::zmq_z85_encode(text.data(), bytes, key_bytes) == nullptr ? std::string{} : text.data();
}

} // namespace

zap_gate::zap_gate(zmq::context_t& context) : socket_(context, zmq::socket_type::rep) {
  socket_.set(zmq::sockopt::linger, 0);
  socket_.bind(zap_address);
}

void zap_gate::answer_some(int most, const conf::config& config, mono_time now) {
  while (most-- > 0 && answer_one(config)) {
  }
  log_refusals(now);
}

bool zap_gate::answer_one(const conf::config& config) {
  std::vector<std::string> request;
  zmq::message_t frame;
  do {
    if (!socket_.recv(frame, zmq::recv_flags::dontwait))
      return false;
    request.push_back(frame.to_string());
  } while (frame.more());
  const auto key = key_of(request);
  const bool known = !key.empty() && config.client_keys.contains(key);
  refused_ += known ? 0 : 1;
  const std::string echoed = request.size() > request_id ? request[request_id] : std::string{};
  const std::array<std::string_view, 6> reply{"1.0",
                                              echoed,
                                              known ? "200" : "400",
                                              known ? "" : "unknown key",
                                              known ? std::string_view{key} : "",
                                              ""};
  for (std::size_t i = 0; i < reply.size(); ++i)
    socket_.send(zmq::buffer(reply[i]),
                 i + 1 < reply.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  return true;
}

void zap_gate::log_refusals(mono_time now) {
  if (refused_ == 0 || (logged_ && now - *logged_ < std::chrono::seconds{1}))
    return;
  log::warn("refused {} connections with keys that are not in clients.d", refused_);
  refused_ = 0;
  logged_ = now;
}

} // namespace bitnetd::daemon
