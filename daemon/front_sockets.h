// SPDX-License-Identifier: MIT
#pragma once

#include "conf/config.h"
#include "daemon/front_address.h"
#include "daemon/wire_frames.h"

#include <zmq.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::daemon {

inline constexpr std::size_t max_frame_bytes = 64u << 20;
inline constexpr std::uint32_t heartbeat_ms = 5000;

/// One message as it came: who sent it, and its first frames. Frames beyond wire::max_frames are
/// received and dropped: `n_frames` counts them all.
struct incoming {
  zmq::message_t peer;
  std::array<zmq::message_t, wire::max_frames> frames;
  std::size_t n_frames = 0;

  [[nodiscard]] std::string_view peer_id() const {
    return {static_cast<const char*>(peer.data()), peer.size()};
  }
  /// The public key that the connection's handshake was won with; empty on sockets without keys.
  [[nodiscard]] std::string client_key() const;
  /// Views of the frames that were kept.
  [[nodiscard]] std::vector<std::string_view> views() const;
};

enum class sent { yes, full, gone };

/// A ROUTER on an ipc file or a tcp port. Belongs to one thread after it was opened.
class router_socket {
public:
  /// Binds; sets the file's mode, or the server's key where clients need one. Throws front_error.
  router_socket(zmq::context_t& context, const conf::socket_config& settings,
                const conf::config& config);
  ~router_socket();
  router_socket(router_socket&&) noexcept = default;

  [[nodiscard]] const conf::socket_config& settings() const noexcept { return settings_; }
  /// A larger frame ends its connection.
  [[nodiscard]] std::uint64_t most_frame_bytes() const noexcept { return most_frame_bytes_; }
  [[nodiscard]] void* handle() { return socket_.handle(); }

  /// The next message, without waiting.
  [[nodiscard]] std::optional<incoming> receive();
  /// Sends a whole message or nothing, without waiting: `full` when the peer does not read, `gone`
  /// when it is not connected.
  [[nodiscard]] sent send(std::string_view peer, bool delimiter, std::string_view type,
                          std::string_view id, std::string_view body);

private:
  conf::socket_config settings_;
  std::filesystem::path file_; ///< of ipc
  std::uint64_t most_frame_bytes_ = max_frame_bytes;
  zmq::socket_t socket_;
};

/// An XPUB on an ipc file: numbered events, topics `job`, `metrics`, `config`, `alert`.
class events_socket {
public:
  events_socket(zmq::context_t& context, const conf::socket_config& settings,
                const std::filesystem::path& runtime_directory);
  ~events_socket();
  events_socket(events_socket&&) noexcept = default;

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }
  [[nodiscard]] void* handle() { return socket_.handle(); }

  /// Reads up to `most` subscriptions: ZeroMQ keeps the account of them, but unread they pile up.
  void drain_subscriptions(int most);
  /// Whether its subscribers may hear of this principal's jobs; empty: everybody's business.
  [[nodiscard]] bool may_see(std::string_view principal) const noexcept {
    return principal.empty() || settings_.may == conf::role::admin ||
           principal == settings_.principal;
  }
  /// Numbers the event and sends it.
  void send(const std::string& topic, std::string_view body);

private:
  conf::socket_config settings_;
  std::filesystem::path file_;
  zmq::socket_t socket_;
  std::map<std::string, std::uint64_t> numbers_; ///< of the last event, by topic
};

} // namespace bitnetd::daemon
