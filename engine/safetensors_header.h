// SPDX-License-Identifier: MIT
#pragma once

#include "engine/safetensors.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// What the JSON of a safetensors header says, offsets relative to the data.
struct safetensors_header {
  std::vector<safetensors_entry> entries; ///< `bytes` = end - begin
  std::map<std::string, std::string> metadata;
};

/// Parses the JSON of a header. Nothing but objects of {dtype, shape, data_offsets} and the strings
/// of `__metadata__` is taken; depth is at most 3, numbers are whole and not negative. Throws
/// load_error (without the file's name) naming tensor and reason.
[[nodiscard]] safetensors_header parse_safetensors_header(std::string_view json);

} // namespace bitnetd::engine
