// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

namespace bitnetd::store {

/// CRC32C (Castagnoli, reflected polynomial 0x82F63B78, initial and final inversion) of `bytes`,
/// continuing `crc`, the value for what came before. Source: RFC 3720, appendix B.4.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0) noexcept;

} // namespace bitnetd::store
