// SPDX-License-Identifier: MIT
#include "engine/file_input.h"

#include "engine/errors.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace bitnetd::engine {

namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& what) {
  throw load_error{path.string() + ": " + what};
}

std::string reason(int error) { return std::generic_category().message(error); }

} // namespace

opened_file open_regular_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not hang; it changes nothing for files.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    refuse(path, "cannot be opened: " + reason(errno));
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    ::close(fd);
    refuse(path, S_ISDIR(facts.st_mode) ? "is a folder; expected a file" : "is not a regular file");
  }
  return {fd, static_cast<std::uint64_t>(facts.st_size)};
}

void read_exactly(int fd, const std::filesystem::path& path, std::uint64_t offset,
                  std::span<std::byte> out) {
  while (!out.empty()) {
    const auto chunk = std::min<std::size_t>(out.size(), std::size_t{1} << 30); // pread's own limit
    const auto got = ::pread(fd, out.data(), chunk, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      refuse(path, "cannot be read at byte " + std::to_string(offset) + ": " + reason(errno));
    if (got == 0)
      refuse(path, "ends at byte " + std::to_string(offset) +
                       ", earlier than when it was opened; was it replaced while loading?");
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

} // namespace bitnetd::engine
