// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace bitnetd::engine {

/// A name from a file, fit for a one-line message: in quotes, bytes outside printable ASCII as
/// \xNN, cut after 80 bytes.
[[nodiscard]] inline std::string printable(std::string_view name) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : name.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      out.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  out += name.size() > 80 ? "...'" : "'";
  return out;
}

} // namespace bitnetd::engine
