// SPDX-License-Identifier: MIT
#include "tests/queues/peer.h"

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
    const auto queue = queues::connect_to(kind, argv[2], n, bytes);
    queues::run(*queue, n, std::strtod(argv[4], nullptr));
    return 0;
  } catch (const std::exception& why) {
    std::fprintf(stderr, "bitnetd_queues: %s\n", why.what());
    return 1;
  }
}
