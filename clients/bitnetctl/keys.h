// SPDX-License-Identifier: MIT
#pragma once

#include "clients/bitnetctl/session.h"

#include <filesystem>
#include <string>

// Keys of clients and of the server, as files beside bitnetd.yaml (docs/security.md). None of this
// talks to the daemon: it sees the folder change.

namespace bitnetd::ctl {

/// `keys …`: what the commands take.
struct keys_options {
  std::string file;             ///< of gen
  std::string principal, key;   ///< key: 40 characters, or a file with one
  std::filesystem::path config; ///< bitnetd.yaml; empty: where the daemon would find it
};

/// Makes a pair: the secret half in `file` (mode 0600), the public one in `file`.pub. Nothing that
/// exists is overwritten.
[[nodiscard]] int run_keys_gen(const session& with, const keys_options& options);
/// Lets the holder of a key connect as a principal.
[[nodiscard]] int run_keys_add(const session& with, const keys_options& options);
/// Takes one key of a principal back, or all of them.
[[nodiscard]] int run_keys_revoke(const session& with, const keys_options& options);
/// The principals with their keys, and the server's public key.
[[nodiscard]] int run_keys_list(const session& with, const keys_options& options);

/// The one key in a file, or `text` itself when it is one. Throws bad_input.
[[nodiscard]] std::string key_from(const std::string& text);

} // namespace bitnetd::ctl
