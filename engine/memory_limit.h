// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace bitnetd::engine {

/// Bytes that this process may still take: the least of what the machine has available
/// (MemAvailable) and what the memory limits of its control group and all groups above it leave,
/// their page cache counted as free. Empty when the system tells nothing.
/// `root` (for tests): where /proc and /sys are looked for.
[[nodiscard]] std::optional<std::uint64_t>
available_memory(const std::filesystem::path& root = "/");

} // namespace bitnetd::engine
