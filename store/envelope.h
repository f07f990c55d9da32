// SPDX-License-Identifier: MIT
#pragma once

#include "store/status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitnetd::store {

/// Bytes that an envelope adds to a payload: schema byte before, CRC32C (little-endian) after.
inline constexpr std::size_t envelope_bytes = 5;

/// A record as it is stored: schema byte, payload, CRC32C over key, schema byte and payload. The
/// key is in the sum so that a record under another record's key does not pass.
[[nodiscard]] std::string seal(std::uint8_t schema, std::string_view key, std::string_view payload);

struct opened_record {
  std::uint8_t schema = 0;
  std::string_view payload; ///< of the bytes given
};

/// Checks a stored record: corrupt if the sum is wrong, newer_schema if the schema is above
/// `newest`, which is the one that this program writes.
result<opened_record> unseal(std::uint8_t newest, std::string_view key, std::string_view stored);

} // namespace bitnetd::store
