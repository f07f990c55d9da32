// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

namespace bitnetd::engine {

/// A hash of one row of ternary codes. Added up over the rows of a model it tells a wrong layout
/// from the right one, whatever the order in which rows were read. For logs: not for security.
[[nodiscard]] std::uint64_t row_checksum(std::span<const std::int8_t> row) noexcept;

} // namespace bitnetd::engine
