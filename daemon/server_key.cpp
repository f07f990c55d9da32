// SPDX-License-Identifier: MIT
#include "daemon/server_key.h"

#include "conf/client_keys.h"
#include "conf/text_file.h"
#include "daemon/front_address.h"

#include <sys/stat.h>
#include <utility>

namespace bitnetd::daemon {

std::string read_server_key(const std::filesystem::path& file) {
  constexpr std::size_t most_bytes = 4096;
  const auto refuse = [&file](const std::string& why) -> front_error {
    return front_error("server key " + file.native() + ": " + why);
  };
  const auto read = conf::read_text(file, most_bytes);
  if (!read.text)
    throw refuse(read.error + "; sockets with curve need it: bitnetctl keys gen " + file.native());
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || (info.st_mode & 077) != 0)
    throw refuse("others may read it; chmod 600 it, and make a new one if somebody did");
  std::vector<conf::problem> problems;
  auto keys = conf::parse_keys(*read.text, file.native(), problems);
  if (!problems.empty() || keys.size() != 1)
    throw refuse("expected one secret key of 40 Z85 characters: bitnetctl keys gen makes one");
  return std::move(keys.front().first);
}

} // namespace bitnetd::daemon
