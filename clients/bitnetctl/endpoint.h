// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace bitnetd::ctl {

/// The front's endpoint: `given` (--socket), else $BITNETD_SOCKET, else front.sock in
/// $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/bitnetd or /run/bitnetd, the first that exists (the last
/// when none does). A path stands for ipc://path, a directory for the front.sock in it;
/// tcp://IP:PORT is taken as it is.
[[nodiscard]] std::string find_front(const std::optional<std::string>& given);

/// The admin socket beside a front: the last `front` in the file's name becomes `admin`. A name
/// without it is taken as it is: it may be the admin socket.
[[nodiscard]] std::string admin_beside(const std::string& front);

} // namespace bitnetd::ctl
