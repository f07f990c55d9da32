// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace bitnetd::conformance {

/// |a - b| / |b| in double; 0 when both are all zero.
[[nodiscard]] double relative_l2(std::span<const float> a, std::span<const float> b);
[[nodiscard]] double cosine(std::span<const float> a, std::span<const float> b);
/// Index of the largest value, the lowest one among equals.
[[nodiscard]] std::size_t top1(std::span<const float> values);
/// Largest value minus second largest.
[[nodiscard]] double margin(std::span<const float> values);

/// All bytes of a file; parsed JSON. Throw std::runtime_error with the path.
[[nodiscard]] std::string read_bytes(const std::filesystem::path& path);
[[nodiscard]] nlohmann::json read_json(const std::filesystem::path& path);

} // namespace bitnetd::conformance
