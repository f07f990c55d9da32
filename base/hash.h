// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bitnetd {

/// First 16 bytes of BLAKE2b-512. A hash finds, stored bytes decide.
struct hash128 {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const hash128&) const = default;
  /// 32 lower-case hexadecimal digits.
  [[nodiscard]] std::string hex() const;
};

/// Incremental BLAKE2b. Every field is preceded by its length, so that two different lists of
/// fields never hash alike.
class hasher {
public:
  hasher();
  ~hasher();
  hasher(hasher&&) noexcept;
  hasher& operator=(hasher&&) noexcept;

  hasher& field(std::span<const std::byte> bytes);
  hasher& field(std::string_view text);
  hasher& field(std::uint64_t number);
  [[nodiscard]] hash128 finish();

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Hash of one byte string.
[[nodiscard]] hash128 hash_bytes(std::span<const std::byte> bytes);
[[nodiscard]] hash128 hash_bytes(std::string_view text);

} // namespace bitnetd

template <> struct std::hash<bitnetd::hash128> {
  std::size_t operator()(const bitnetd::hash128& h) const noexcept {
    std::size_t out = 0;
    std::memcpy(&out, h.bytes.data(), sizeof out);
    return out;
  }
};
