// SPDX-License-Identifier: MIT
#include "store/file_handle.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace bitnetd::store {

file_handle::file_handle(const std::filesystem::path& path, int flags)
    : handle_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}

file_handle::~file_handle() {
  if (handle_ >= 0)
    ::close(handle_);
}

file_handle::file_handle(file_handle&& other) noexcept
    : handle_(std::exchange(other.handle_, -1)) {}

file_handle& file_handle::operator=(file_handle&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

std::optional<std::string> file_handle::read(std::uint64_t from, std::uint64_t limit) const {
  struct stat info {};
  if (!is_open() || ::fstat(handle_, &info) != 0)
    return std::nullopt;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  std::string out(std::min(limit, size - std::min(size, from)), '\0');
  for (std::size_t done = 0; done < out.size();) {
    const auto n =
        ::pread(handle_, out.data() + done, out.size() - done, static_cast<off_t>(from + done));
    if (n <= 0)
      return std::nullopt;
    done += static_cast<std::size_t>(n);
  }
  return out;
}

bool file_handle::write(std::uint64_t at, std::string_view bytes) const {
  while (is_open() && !bytes.empty()) {
    const auto n = ::pwrite(handle_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return is_open();
}

bool file_handle::sync() const { return is_open() && ::fdatasync(handle_) == 0; }

status failed_with_errno(const std::string& what) {
  const auto code = errno == ENOSPC || errno == EDQUOT ? errc::no_space : errc::io_error;
  return {code, what + ": " + std::strerror(errno)};
}

status sync_directory(const std::filesystem::path& directory) {
  // fdatasync does not wait for the names in a directory; and that may be reached over a link.
  const int handle = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto done = handle >= 0 && ::fsync(handle) == 0
                  ? status{}
                  : failed_with_errno(directory.string() + ": sync of the directory");
  if (handle >= 0)
    ::close(handle);
  return done;
}

} // namespace bitnetd::store
