// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model.h"
#include "engine/weights.h"
#include "engine/zero_pattern.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bitnetd::engine {

/// What a look at a model file told.
struct container_report {
  std::string format; ///< "GGUF v3", "safetensors", …
  std::uint64_t file_bytes = 0, n_tensors = 0, n_metadata = 0;
  std::shared_ptr<const model> whole; ///< a whole model, payload checked; or nullptr
  std::string missing;                ///< one line: what it lacks to be a whole model
  /// Of a whole model: a pattern per tensor, empty for those that are not stored as ternary.
  std::vector<zero_pattern> zeros;
};

/// Checks a GGUF file, a Hugging Face folder, or a safetensors file alone. A whole model is checked
/// as loading would check it, payload included; a sound container that is no whole model (a
/// vocabulary, a piece) is reported with what it lacks. Throws load_error for everything that is to
/// be refused.
[[nodiscard]] container_report inspect_container(const std::filesystem::path& path,
                                                 const load_options& options = {});

} // namespace bitnetd::engine
