// SPDX-License-Identifier: MIT
#include "daemon/front_address.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace bitnetd::daemon {

namespace {

std::string reason(int error) { return std::system_category().message(error); }

// What connect(2) says: 0 when somebody answers.
int try_to_connect(const std::filesystem::path& file) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, file.c_str(), file.native().size());
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = rc == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

} // namespace

std::filesystem::path ipc_file(const std::string& endpoint,
                               const std::filesystem::path& runtime_directory) {
  constexpr std::string_view scheme = "ipc://";
  if (!endpoint.starts_with(scheme))
    throw front_error("socket " + endpoint +
                      ": only ipc:// endpoints are served; TCP would need keys for every client");
  const std::string_view name = std::string_view(endpoint).substr(scheme.size());
  if (name.empty() || name.front() == '@' || name.front() == '*')
    throw front_error("socket " + endpoint +
                      ": expected the path of a file, whose mode decides who may connect");
  const auto file = runtime_directory / name; // an absolute name replaces the directory
  if (file.native().size() >= sizeof(sockaddr_un::sun_path))
    throw front_error("socket " + file.native() + ": the path has " +
                      std::to_string(file.native().size()) +
                      " bytes and a socket's may have 107; choose a shorter runtime directory");
  return file;
}

void clear_stale_socket(const std::filesystem::path& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) {
    if (errno == ENOENT)
      return;
    throw front_error("socket " + file.native() + ": " + reason(errno));
  }
  if (!S_ISSOCK(info.st_mode))
    throw front_error("socket " + file.native() +
                      ": something that is no socket lies there; move it away");
  const int error = try_to_connect(file);
  if (error == 0 || error == EAGAIN) // EAGAIN: somebody listens and is busy
    throw front_error("another bitnetd is running: " + file.native() +
                      " answers; stop it, or give this one another runtime directory");
  if (error != ECONNREFUSED)
    throw front_error("socket " + file.native() + ": " + reason(error));
  if (::unlink(file.c_str()) != 0 && errno != ENOENT)
    throw front_error("socket " + file.native() + ": left by a dead process, and cannot be " +
                      "removed: " + reason(errno));
}

instance_lock::instance_lock(const std::filesystem::path& runtime_directory) {
  const auto file = runtime_directory / "bitnetd.lock";
  fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0)
    throw front_error("runtime directory: cannot open " + file.native() + ": " + reason(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0)
    return;
  const int error = errno;
  ::close(fd_);
  throw front_error(error == EWOULDBLOCK
                        ? "another bitnetd is running: it holds " + file.native() +
                              "; stop it, or give this one another runtime directory"
                        : "runtime directory: cannot lock " + file.native() + ": " + reason(error));
}

instance_lock::~instance_lock() { ::close(fd_); }

} // namespace bitnetd::daemon
