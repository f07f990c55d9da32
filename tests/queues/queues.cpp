// SPDX-License-Identifier: MIT
#include "tests/queues/peer.h"

#include <zmq.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>

// How many durable pushes a queue acknowledges: one line per run, for tests/long/queues.sh.
//   bitnetd_queues KIND ADDRESS CLIENTS SECONDS BYTES
//   bitnetd_queues fdatasync FILE                       what the disk itself takes

namespace queues {
namespace {

class bitnetd_peer final : public peer {
public:
  bitnetd_peer(const std::string& endpoint, std::size_t n, std::size_t bytes) {
    // Nothing is computed: the job starts next year. What is left is what is measured, the accept.
    body_ = R"({"not_before":")" + next_year() + R"(","params":{"max_tokens":1},"prompt":")";
    const std::size_t frame = body_.size() + 2;
    body_ += std::string(bytes > frame ? bytes - frame : 1, 'x') + "\"}";
    for (std::size_t i = 0; i < n; ++i) {
      sockets_.emplace_back(context_, zmq::socket_type::dealer);
      sockets_.back().set(zmq::sockopt::linger, 0);
      sockets_.back().connect(endpoint);
    }
    for (auto& socket : sockets_)
      items_.push_back({socket.handle(), 0, ZMQ_POLLIN, 0});
  }
  void push(std::size_t i) override {
    const auto put = [&](std::string_view frame, zmq::send_flags flags) {
      (void)sockets_[i].send(zmq::buffer(frame), flags);
    };
    put("BN1", zmq::send_flags::sndmore);
    put("submit", zmq::send_flags::sndmore);
    put("1", zmq::send_flags::sndmore);
    put(body_, zmq::send_flags::none);
  }
  std::vector<std::size_t> wait(std::chrono::milliseconds most) override {
    if (::zmq_poll(items_.data(), static_cast<int>(items_.size()), most.count()) < 0)
      throw std::runtime_error(zmq_strerror(zmq_errno()));
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < items_.size(); ++i)
      if (items_[i].revents != 0) {
        read(i);
        out.push_back(i);
      }
    return out;
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
  void read(std::size_t i) {
    zmq::message_t frames[4];
    for (auto& frame : frames)
      (void)sockets_[i].recv(frame);
    if (frames[1].to_string_view() != "accepted")
      throw std::runtime_error("bitnetd: " + frames[3].to_string());
    if (frames[3].to_string_view().find("\"fsync\":true") == std::string_view::npos)
      throw std::runtime_error("bitnetd: not synced: " + frames[3].to_string());
  }

  zmq::context_t context_{1};
  std::vector<zmq::socket_t> sockets_;
  std::vector<zmq::pollitem_t> items_;
  std::string body_;
};

double quantile(std::vector<double>& sorted, double q) {
  return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(q * double(sorted.size() - 1))];
}

double ms_since(clock::time_point then) {
  return std::chrono::duration<double, std::milli>(clock::now() - then).count();
}

/// Every connection pushes again as soon as its push was acknowledged.
void run(peer& queue, std::size_t n, double seconds) {
  std::vector<clock::time_point> sent(n);
  std::vector<double> took;
  const auto push = [&](std::size_t i) {
    sent[i] = clock::now();
    queue.push(i);
  };
  for (std::size_t i = 0; i < n; ++i)
    push(i);
  const auto began = clock::now();
  while (ms_since(began) < seconds * 1e3)
    for (const auto i : queue.wait(std::chrono::milliseconds{1000})) {
      took.push_back(ms_since(sent[i]));
      push(i);
    }
  const auto rate = double(took.size()) / (ms_since(began) / 1e3);
  std::sort(took.begin(), took.end());
  std::printf("%.0f %.3f %.3f\n", rate, quantile(took, 0.5), quantile(took, 0.99));
}

void time_fdatasync(const char* file) {
  const int fd = ::open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const std::string block(4096, 'x');
  std::vector<double> took;
  for (int i = 0; i < 200 && fd >= 0; ++i) {
    if (::pwrite(fd, block.data(), block.size(), i * 4096) != 4096)
      throw std::runtime_error("cannot write");
    const auto began = clock::now();
    if (::fdatasync(fd) != 0)
      throw std::runtime_error("fdatasync failed");
    took.push_back(ms_since(began));
  }
  if (fd < 0)
    throw std::runtime_error(std::string("cannot open ") + file);
  std::sort(took.begin(), took.end());
  std::printf("%.3f %.3f\n", quantile(took, 0.5), quantile(took, 0.99));
}

} // namespace

std::unique_ptr<peer> connect_bitnetd(const std::string& address, std::size_t n,
                                      std::size_t bytes) {
  return std::make_unique<bitnetd_peer>(address, n, bytes);
}

} // namespace queues

int main(int argc, char** argv) {
  try {
    const std::string kind = argc > 1 ? argv[1] : "";
    if (kind == "fdatasync" && argc == 3) {
      queues::time_fdatasync(argv[2]);
      return 0;
    }
    if (argc != 6) {
      std::fprintf(stderr, "usage: bitnetd_queues KIND ADDRESS CLIENTS SECONDS BYTES\n");
      return 2;
    }
    const auto n = std::strtoul(argv[3], nullptr, 10);
    const auto bytes = std::strtoul(argv[5], nullptr, 10);
    const auto queue = kind == "bitnetd" ? queues::connect_bitnetd(argv[2], n, bytes)
                                         : queues::connect_text(kind, argv[2], n, bytes);
    queues::run(*queue, n, std::strtod(argv[4], nullptr));
    return 0;
  } catch (const std::exception& why) {
    std::fprintf(stderr, "bitnetd_queues: %s\n", why.what());
    return 1;
  }
}
