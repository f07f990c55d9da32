// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// A hash of one row of ternary codes, as words (ternary_layout.h). Added up over the rows of a
/// model it tells a wrong layout from the right one, whatever the order in which rows were read.
/// For logs: not for security.
[[nodiscard]] std::uint64_t row_checksum(std::span<const std::uint32_t> words,
                                         std::size_t cols) noexcept;

} // namespace bitnetd::engine
