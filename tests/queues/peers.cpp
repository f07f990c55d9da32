// SPDX-License-Identifier: MIT
#include "tests/queues/peer.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

// bitnetd, beanstalkd, Redis and PostgreSQL, each by the few bytes of its protocol that a push
// needs.

namespace queues {
namespace {

/// What one push says, and when it was answered.
class protocol {
public:
  virtual ~protocol() = default;
  /// Sent once, and answered once, before the first push; empty: nothing.
  [[nodiscard]] virtual std::string greeting() const { return {}; }
  [[nodiscard]] virtual std::string push() const = 0;
  /// Bytes of the answer at the front of `received`; 0: not all of it is there. Throws when it says
  /// no.
  [[nodiscard]] virtual std::size_t answer(std::string_view received) const = 0;
};

class beanstalkd final : public protocol {
public:
  explicit beanstalkd(std::size_t bytes)
      : push_("put 0 0 60 " + std::to_string(bytes) + "\r\n" + std::string(bytes, 'x') + "\r\n") {}
  std::string push() const override { return push_; }
  std::size_t answer(std::string_view received) const override {
    const auto end = received.find("\r\n");
    if (end == std::string_view::npos)
      return 0;
    if (!received.starts_with("INSERTED"))
      throw std::runtime_error("beanstalkd: " + std::string(received.substr(0, end)));
    return end + 2;
  }

private:
  std::string push_;
};

/// XADD to one stream.
class redis final : public protocol {
public:
  explicit redis(std::size_t bytes)
      : push_("*5\r\n$4\r\nXADD\r\n$4\r\njobs\r\n$1\r\n*\r\n$4\r\nbody\r\n$" +
              std::to_string(bytes) + "\r\n" + std::string(bytes, 'x') + "\r\n") {}
  std::string push() const override { return push_; }
  std::size_t answer(std::string_view received) const override {
    const auto line = received.find("\r\n");
    if (line == std::string_view::npos)
      return 0;
    if (received.front() != '$')
      throw std::runtime_error("redis: " + std::string(received.substr(0, line)));
    const auto end = received.find("\r\n", line + 2);
    return end == std::string_view::npos ? 0 : end + 2;
  }

private:
  std::string push_;
};

/// One INSERT per transaction, as a simple query.
class postgresql final : public protocol {
public:
  explicit postgresql(std::size_t bytes)
      : push_(message('Q', "INSERT INTO jobs (body) VALUES ('" + std::string(bytes, 'x') + "')")) {}
  std::string greeting() const override {
    std::string body("\0\3\0\0user\0bitnetd\0database\0postgres\0\0", 36);
    return length(body.size() + 4) + body;
  }
  std::string push() const override { return push_; }
  std::size_t answer(std::string_view received) const override {
    std::size_t at = 0;
    while (received.size() - at >= 5) {
      std::uint32_t size = 0;
      std::memcpy(&size, received.data() + at + 1, 4);
      const auto whole = 1 + std::size_t{ntohl(size)};
      if (received.size() - at < whole)
        return 0;
      if (received[at] == 'E')
        throw std::runtime_error("postgresql: " + std::string(received.substr(at + 5, whole - 5)));
      const bool ready = received[at] == 'Z';
      at += whole;
      if (ready)
        return at;
    }
    return 0;
  }

private:
  static std::string length(std::size_t n) {
    const auto big = htonl(static_cast<std::uint32_t>(n));
    return {reinterpret_cast<const char*>(&big), 4};
  }
  static std::string message(char type, const std::string& text) {
    return type + length(text.size() + 5) + text + '\0';
  }
  std::string push_;
};

/// BN1 over ZMTP 3.0 (ZeroMQ RFC 23) on an ipc socket, by hand like the others: libzmq's own thread
/// and its sixty-four sockets would cost the client more than the queue takes. Nothing is computed:
/// the job starts next year, and the accept alone is measured.
class bitnetd final : public protocol {
public:
  explicit bitnetd(std::size_t bytes) {
    auto body = R"({"not_before":")" + next_year() + R"(","params":{"max_tokens":1},"prompt":")";
    const std::size_t frame = body.size() + 2;
    body += std::string(bytes > frame ? bytes - frame : 1, 'x') + "\"}";
    for (const char* head : {"BN1", "submit", "1"})
      push_ += std::string{'\1', static_cast<char>(std::strlen(head))} + head; // more follow
    push_ += '\2'; // the last, with its length in eight bytes
    for (int shift = 56; shift >= 0; shift -= 8)
      push_ += static_cast<char>(body.size() >> shift);
    push_ += body;
  }
  std::string greeting() const override {
    const std::string ready("\5READY\13Socket-Type\0\0\0\6DEALER", 28);
    return std::string("\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL", 16) + std::string(48, '\0') + '\4' +
           static_cast<char>(ready.size()) + ready;
  }
  std::string push() const override { return push_; }
  std::size_t answer(std::string_view received) const override {
    if (received.front() == '\xff') { // the other side's greeting, and its READY
      constexpr std::size_t begin = 64;
      if (received.size() < begin + 2)
        return 0;
      const auto end = begin + 2 + static_cast<unsigned char>(received[begin + 1]);
      return received.size() < end ? 0 : end;
    }
    std::string_view said;
    for (std::size_t at = 0; received.size() - at >= 2;) {
      const auto flags = static_cast<unsigned char>(received[at]);
      std::size_t size = static_cast<unsigned char>(received[at + 1]), head = 2;
      if ((flags & 2u) != 0) {
        if (received.size() - at < 9)
          return 0;
        size = 0;
        for (head = 1; head < 9; ++head)
          size = size << 8 | static_cast<unsigned char>(received[at + head]);
      }
      if (received.size() - at - head < size)
        return 0;
      said = received.substr(at + head, size);
      at += head + size;
      if ((flags & 5u) != 0) // a command, or more of this message
        continue;
      if (said.find("\"fsync\":true") == std::string_view::npos)
        throw std::runtime_error("bitnetd: not accepted and synced: " + std::string(said));
      return at;
    }
    return 0;
  }

private:
  static std::string next_year() {
    const auto later = std::time(nullptr) + 300 * 86400;
    char text[32];
    std::tm parts{};
    ::gmtime_r(&later, &parts);
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
  }
  std::string push_;
};

std::unique_ptr<protocol> make_protocol(const std::string& kind, std::size_t bytes) {
  if (kind == "bitnetd")
    return std::make_unique<bitnetd>(bytes);
  if (kind == "beanstalkd")
    return std::make_unique<beanstalkd>(bytes);
  if (kind == "redis")
    return std::make_unique<redis>(bytes);
  if (kind == "postgresql")
    return std::make_unique<postgresql>(bytes);
  throw std::runtime_error("unknown queue " + kind);
}

class connections final : public peer {
public:
  connections(std::unique_ptr<protocol> speaks, const std::string& address, std::size_t n)
      : speaks_(std::move(speaks)) {
    for (std::size_t i = 0; i < n; ++i)
      open(address);
    if (const auto hello = speaks_->greeting(); !hello.empty())
      for (std::size_t i = 0; i < n; ++i) {
        write(i, hello);
        while (!read(i))
          ;
      }
  }
  ~connections() override {
    for (const auto& one : files_)
      ::close(one.fd);
  }
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;

  void push(std::size_t connection) override { write(connection, speaks_->push()); }
  std::vector<std::size_t> wait(std::chrono::milliseconds most) override {
    if (::poll(files_.data(), files_.size(), static_cast<int>(most.count())) < 0)
      throw std::system_error(errno, std::system_category(), "poll");
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < files_.size(); ++i)
      if (files_[i].revents != 0 && read(i))
        out.push_back(i);
    return out;
  }

private:
  void open(const std::string& address) {
    constexpr std::string_view ipc = "ipc://";
    const bool local = address.starts_with(ipc);
    const int fd = ::socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (local) {
      sockaddr_un to{};
      to.sun_family = AF_UNIX;
      std::strncpy(to.sun_path, address.c_str() + ipc.size(), sizeof to.sun_path - 1);
      reach(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to));
    } else {
      const auto colon = address.rfind(':');
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
      ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
      reach(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to));
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    files_.push_back({fd, POLLIN, 0});
    received_.emplace_back();
  }
  static void reach(int connected) {
    if (connected != 0)
      throw std::system_error(errno, std::system_category(), "connect");
  }
  void write(std::size_t i, const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
      const auto n = ::send(files_[i].fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n < 0)
        throw std::system_error(errno, std::system_category(), "send");
      done += static_cast<std::size_t>(n);
    }
  }
  /// True when the answer is complete.
  bool read(std::size_t i) {
    char block[16384];
    const auto n = ::recv(files_[i].fd, block, sizeof block, 0);
    if (n <= 0)
      throw std::runtime_error("the queue closed the connection");
    received_[i].append(block, static_cast<std::size_t>(n));
    const auto size = speaks_->answer(received_[i]);
    received_[i].erase(0, size);
    return size > 0;
  }

  std::unique_ptr<protocol> speaks_;
  std::vector<pollfd> files_;
  std::vector<std::string> received_;
};

} // namespace

std::unique_ptr<peer> connect_to(const std::string& kind, const std::string& address, std::size_t n,
                                 std::size_t bytes) {
  return std::make_unique<connections>(make_protocol(kind, bytes), address, n);
}

} // namespace queues
