// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace bitnetd::daemon {

/// The sockets cannot be opened; the text says which, why and how to mend it.
struct front_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The file of an `ipc://` endpoint; a relative one lies in the runtime directory. Throws
/// front_error for another transport, an abstract name (it would have no file mode: anyone could
/// connect), and a path that does not fit a socket address (107 bytes).
[[nodiscard]] std::filesystem::path ipc_file(const std::string& endpoint,
                                             const std::filesystem::path& runtime_directory);

/// Makes room for a socket file. What a dead process left is removed; throws front_error when a
/// living one answers there, or when the file is no socket. ZeroMQ would replace either silently.
void clear_stale_socket(const std::filesystem::path& file);

/// One daemon per runtime directory: holds a lock on `bitnetd.lock` there while it lives. Throws
/// front_error when another process holds it.
class instance_lock {
public:
  explicit instance_lock(const std::filesystem::path& runtime_directory);
  ~instance_lock();
  instance_lock(const instance_lock&) = delete;
  instance_lock& operator=(const instance_lock&) = delete;

private:
  int fd_ = -1;
};

} // namespace bitnetd::daemon
