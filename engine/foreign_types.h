// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace bitnetd::engine {

/// A tensor of a type that is not read, as the tensor table describes it.
struct foreign_tensor {
  std::uint32_t id = 0;
  std::uint64_t rows = 0, cols = 0;
  std::uint64_t room = 0;         ///< bytes up to the next tensor or the end of the file
  bool has_scale_sibling = false; ///< there is a tensor "<name>_scale"
  std::optional<std::uint64_t> file_type = {}; ///< general.file_type
};

/// Why a tensor is not read and what to do instead. Some ids mean different layouts in different
/// forks (38: TL1, withdrawn IQ4_NL_8_8; 39: TL2, MXFP4): size and surroundings decide.
[[nodiscard]] std::string why_not_read(const foreign_tensor& tensor);

} // namespace bitnetd::engine
