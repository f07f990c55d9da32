// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitnetd::engine {

/// The projections of a layer, as GGUF names them.
inline constexpr std::array<std::string_view, 7> projections = {
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

/// "blk.3.attn_q": the part of layer 3 with this name.
[[nodiscard]] inline std::string block_name(std::uint32_t layer, std::string_view what) {
  return "blk." + std::to_string(layer) + "." + std::string{what};
}

} // namespace bitnetd::engine
