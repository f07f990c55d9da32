// SPDX-License-Identifier: MIT
#include "conf/text_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bitnetd::conf {

namespace {

class descriptor {
public:
  explicit descriptor(int fd) : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

private:
  int fd_;
};

file_text failed(std::string why) { return {std::nullopt, std::move(why)}; }

file_text failed_with(int code) {
  return failed(code == ENOENT ? "no such file" : std::generic_category().message(code));
}

} // namespace

file_text read_text(const std::filesystem::path& file, std::size_t most_bytes) {
  const descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (opened.get() < 0)
    return failed_with(errno);
  struct stat about {};
  if (::fstat(opened.get(), &about) != 0)
    return failed_with(errno);
  if (S_ISDIR(about.st_mode))
    return failed("a directory, not a file");
  if (!S_ISREG(about.st_mode))
    return failed("not a regular file");

  // Read up to one byte more than allowed instead of trusting st_size: the file may grow meanwhile.
  std::string text;
  for (char buffer[16384];;) {
    const auto n = ::read(opened.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return failed_with(errno);
    if (n == 0)
      return {std::move(text), {}};
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > most_bytes)
      return failed("larger than " + std::to_string(most_bytes >> 10) + " KiB");
  }
}

} // namespace bitnetd::conf
