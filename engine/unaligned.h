// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

static_assert(std::endian::native == std::endian::little,
              "model files are little-endian and are read without swapping");

namespace bitnetd::engine {

/// A value at any address: payloads promise no alignment.
template <class T> [[nodiscard]] inline T load_unaligned(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// The byte as a number.
[[nodiscard]] inline unsigned byte_at(const std::byte* at) noexcept {
  return std::to_integer<unsigned>(*at);
}

} // namespace bitnetd::engine
