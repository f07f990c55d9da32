// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model_source.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bitnetd::engine {

/// What a file is made of, by name and number, read or not.
struct gguf_kinds {
  std::string architecture;            ///< empty: the file does not say
  std::vector<std::uint32_t> type_ids; ///< of its tensors, each once, ascending
};

/// A GGUF v2 or v3 container, open for reading: metadata and tensor table checked in full
/// (bounds, counts, types, duplicates, alignment, overlap, overflow) before anything large is
/// allocated. Payload is read with pread, never mapped: a file that shrinks gives an error, not a
/// signal. Movable.
class gguf_file final : public model_source {
public:
  /// Opens a regular file. `layout`: of its I2_S tensors, which the file itself does not tell.
  /// Throws load_error with the place and the reason.
  static gguf_file open(const std::filesystem::path& path, i2s_layout layout = i2s_layout::common);
  /// Looks at the head alone: sound metadata and table are required, known types are not.
  static gguf_kinds peek(const std::filesystem::path& path);
  ~gguf_file() override;
  gguf_file(gguf_file&&) noexcept;
  gguf_file& operator=(gguf_file&&) noexcept;

  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
  [[nodiscard]] std::string format() const override { return "GGUF v" + std::to_string(version_); }
  void read(const gguf_tensor& tensor, std::uint64_t from, std::span<std::byte> out) const override;

private:
  gguf_file() = default;
  friend class gguf_parser;

  int fd_ = -1;
  std::uint32_t version_ = 0;
};

} // namespace bitnetd::engine
