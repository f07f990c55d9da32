// SPDX-License-Identifier: MIT
#pragma once

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace bitnetd::tests {

/// The folder of published conformance data that BITNETD_FIXTURES names; empty, with a warning in
/// the test's output, where it is not set.
inline std::optional<std::filesystem::path> fixtures() {
  const char* folder = std::getenv("BITNETD_FIXTURES");
  if (folder == nullptr || *folder == '\0') {
    WARN("BITNETD_FIXTURES is not set: this case was not run");
    return std::nullopt;
  }
  return folder;
}

} // namespace bitnetd::tests
