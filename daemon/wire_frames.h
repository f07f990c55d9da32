// SPDX-License-Identifier: MIT
#pragma once

#include "daemon/wire_errors.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>

// The frames of BN1, both directions:   [ "" ]?  "BN1"  type  id  body
// See docs/protocol.md. Nothing here looks into the body.

namespace bitnetd::wire {

inline constexpr std::string_view version_frame = "BN1";
inline constexpr std::size_t max_type_bytes = 24;
inline constexpr std::size_t max_id_bytes = 64;
/// Most frames a receiver need keep: delimiter, four frames, and one to see that there are more.
inline constexpr std::size_t max_frames = 6;

/// One message, as views into the frames it was read from.
struct envelope {
  bool delimiter = false; ///< an empty frame stood in front
  std::string_view type, id, body;
};

/// A message that cannot be an envelope. `delimiter` and `id` say how to address the answer, as far
/// as they could be read.
struct bad_envelope {
  bool delimiter = false;
  std::string id;
  refusal why;
};

/// Reads the frames of one message (without a ROUTER's routing id).
[[nodiscard]] std::variant<envelope, bad_envelope>
read_envelope(std::span<const std::string_view> frames);

/// True for 1 to 24 bytes of `a`…`z` and `.`.
[[nodiscard]] bool is_type(std::string_view text) noexcept;

} // namespace bitnetd::wire
