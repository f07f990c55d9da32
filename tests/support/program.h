// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cerrno>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace bitnetd::tests {

/// What a program did.
struct program_result {
  int status = -1; ///< exit status, or 128 + signal
  std::string out, err;
};

namespace detail {

/// A file in memory that one of the three standard streams is connected to.
class stream_file {
public:
  stream_file() : fd_{::memfd_create("stream", MFD_CLOEXEC)} {
    if (fd_ < 0)
      throw std::runtime_error{"no file can be made in memory"};
  }
  ~stream_file() { ::close(fd_); }
  stream_file(const stream_file&) = delete;
  stream_file& operator=(const stream_file&) = delete;

  void fill(std::string_view text) const {
    if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw std::runtime_error{"standard input cannot be prepared"};
    ::lseek(fd_, 0, SEEK_SET);
  }
  [[nodiscard]] std::string all() const {
    std::string text;
    std::array<char, 65'536> piece;
    ::lseek(fd_, 0, SEEK_SET);
    for (ssize_t n = 0; (n = ::read(fd_, piece.data(), piece.size())) > 0;)
      text.append(piece.data(), static_cast<std::size_t>(n));
    return text;
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }

private:
  int fd_;
};

} // namespace detail

/// Runs a program to its end with this standard input. Throws std::runtime_error when it cannot be
/// started.
inline program_result run_program(std::vector<std::string> words, std::string_view input = {}) {
  const detail::stream_file in, out, err;
  in.fill(input);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.fd(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.fd(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.fd(), STDERR_FILENO);
  std::vector<char*> arguments;
  for (auto& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    throw std::runtime_error{words[0] + " cannot be started"};
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out.all(), err.all()};
}

} // namespace bitnetd::tests
