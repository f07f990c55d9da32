// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bitnetd::engine {

/// How keys and values are stored. f16 rounds to nearest even. q8 keeps codes of 8 bits and, per
/// position and KV head, one scale for the key and one for the value: attention then multiplies
/// once per position, not once per value, and scales are 3 % of the codes with heads of 128.
/// Numbers are part of page identities.
enum class kv_type { f32 = 0, f16 = 1, q8 = 2 };

/// Tokens of one page.
constexpr std::size_t page_tokens = 32;

/// Bytes that the keys (or the values: the same) of one KV head take in one page, a multiple of 64:
/// with q8 its 32 scales, then its codes (attention.h).
[[nodiscard]] constexpr std::size_t kv_head_bytes(kv_type type, std::size_t head_dim) noexcept {
  const auto values = head_dim * page_tokens;
  return type == kv_type::f32   ? values * sizeof(float)
         : type == kv_type::f16 ? values * sizeof(std::uint16_t)
                                : page_tokens * sizeof(float) + (values + 63) / 64 * 64;
}

/// By the name that configurations and command lines use: "f32", "f16", "q8".
[[nodiscard]] constexpr std::optional<kv_type> find_kv_type(std::string_view name) noexcept {
  return name == "f32"   ? std::optional{kv_type::f32}
         : name == "f16" ? std::optional{kv_type::f16}
         : name == "q8"  ? std::optional{kv_type::q8}
                         : std::nullopt;
}

} // namespace bitnetd::engine
