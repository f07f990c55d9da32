// SPDX-License-Identifier: MIT
#pragma once

#include "engine/safetensors.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bitnetd::engine::hugging_face {

/// The safetensors files of a folder: model.safetensors, or those that
/// model.safetensors.index.json names. Names in the index must be plain names of files in the
/// folder; every tensor must be where the index says it is, and in one file only.
class shards {
public:
  /// Throws load_error.
  static shards open(const std::filesystem::path& folder);

  struct place {
    const safetensors_file* file;
    const safetensors_entry* entry;
  };
  /// All tensors, file by file.
  [[nodiscard]] const std::vector<place>& tensors() const noexcept { return places_; }
  [[nodiscard]] std::size_t n_files() const noexcept { return files_.size(); }
  [[nodiscard]] std::uint64_t size() const noexcept;

private:
  std::vector<safetensors_file> files_; ///< never grows once places_ is filled
  std::vector<place> places_;
};

} // namespace bitnetd::engine::hugging_face
