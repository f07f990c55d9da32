// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/connection.h"

#include <chrono>
#include <optional>
#include <string>

namespace bitnetd::ctl {

/// What holds for every command.
struct session {
  std::optional<std::string> socket;
  std::string key{};        ///< file of the secret key; empty: $BITNETD_KEY, else none
  std::string server_key{}; ///< public key or its file; empty: $BITNETD_SERVER_KEY
  bool as_json = false;
  std::chrono::seconds timeout{10};                 ///< for an answer
  std::optional<std::chrono::seconds> wait_ready{}; ///< first wait so long for a ready daemon

  [[nodiscard]] milliseconds answer_time() const { return timeout; }

  /// Opens the front, or the admin socket beside it; waits for readiness where asked.
  [[nodiscard]] connection front() const;
  [[nodiscard]] connection admin() const;
};

/// Something in the user's input is wrong: exit status 3.
struct bad_input : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Exit status for an error reply, which is printed to standard error.
[[nodiscard]] int report_error(const json& error);

/// One line of JSON on standard output.
void print_json(const json& value);

/// The text of a file; `-` is standard input. Throws bad_input when it cannot be read or is larger
/// than `most` bytes.
[[nodiscard]] std::string read_input(const std::string& file, std::size_t most = 64u << 20);

} // namespace bitnetd::ctl
