// SPDX-License-Identifier: MIT
#pragma once

#include "engine/errors.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

enum class safetensors_type : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  f8_e4m3,
  f8_e5m2
};

/// The type with this name ("BF16"), and the bytes of one value.
[[nodiscard]] std::optional<safetensors_type> find_safetensors_type(std::string_view name) noexcept;
[[nodiscard]] std::uint64_t value_bytes(safetensors_type type) noexcept;

/// Where one tensor lies in the file. Row-major; no alignment is promised.
struct safetensors_entry {
  std::string name;
  safetensors_type type = safetensors_type::f32;
  std::vector<std::uint64_t> shape; ///< empty: one value
  std::uint64_t offset = 0;         ///< from the start of the file
  std::uint64_t bytes = 0;
};

/// A safetensors file, open for reading: its header checked in full (length, JSON with bounded
/// depth and size, duplicate names, types, shapes against byte ranges, overlap). Payload is read
/// with pread. Movable; reads may come from several threads.
class safetensors_file {
public:
  /// Throws load_error with the place and the reason.
  static safetensors_file open(const std::filesystem::path& path);
  ~safetensors_file();
  safetensors_file(safetensors_file&&) noexcept;
  safetensors_file& operator=(safetensors_file&&) noexcept;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// In the order of their bytes.
  [[nodiscard]] const std::vector<safetensors_entry>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const safetensors_entry* find(std::string_view name) const noexcept;
  /// The strings of `__metadata__`.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept {
    return metadata_;
  }

  /// Reads bytes [from, from + out.size()) of the tensor. Throws load_error on a short read.
  void read(const safetensors_entry& entry, std::uint64_t from, std::span<std::byte> out) const;

private:
  safetensors_file() = default;

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::vector<safetensors_entry> tensors_;
  std::map<std::string, std::string> metadata_;
};

} // namespace bitnetd::engine
