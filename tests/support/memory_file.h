// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace bitnetd::tests {

/// A file that is only in memory and can be opened by its path: for tests with thousands of files,
/// which a disk would spend minutes on.
class memory_file {
public:
  explicit memory_file(std::string_view bytes) : fd_{::memfd_create("test", MFD_CLOEXEC)} {
    if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error{"no file can be made in memory"};
  }
  ~memory_file() { ::close(fd_); }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;

  [[nodiscard]] std::filesystem::path path() const {
    return "/proc/self/fd/" + std::to_string(fd_);
  }

private:
  int fd_;
};

} // namespace bitnetd::tests
