// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bitnetd::wire {

/// What a socket may do. Each includes those before it.
enum class role : std::uint8_t { read, submit, admin };
[[nodiscard]] std::string_view to_string(role may) noexcept;

/// One kind of request and the role that it needs; known before its body is looked at.
struct request_kind {
  std::string_view type;
  role needs;
};

/// Every request that the daemon understands.
[[nodiscard]] std::span<const request_kind> request_kinds() noexcept;

/// The row of this type, or nullptr.
[[nodiscard]] const request_kind* find_request_kind(std::string_view type) noexcept;

/// Every type that the daemon sends.
[[nodiscard]] std::span<const std::string_view> reply_types() noexcept;

/// The candidate that `word` most likely stands for: at most a third of it is different. Empty when
/// none is near. For "did you mean".
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> candidates);

} // namespace bitnetd::wire
