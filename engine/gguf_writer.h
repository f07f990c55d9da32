// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tensor_type.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// Writes a GGUF v3 file: metadata and tensor table first, then the payloads one by one in the
/// order of their declaration, so that a large model is never in memory as a whole.
///
///   gguf_writer out{path};
///   out.add("general.architecture", "llama");
///   out.declare("output_norm.weight", tensor_type::f32, {512});
///   out.write(bytes);                       // once per declared tensor
///   out.finish();                           // renames PATH.part to PATH
///
/// Errors   std::runtime_error with path and reason (disk full, wrong size or order).
class gguf_writer {
public:
  explicit gguf_writer(std::filesystem::path path);
  ~gguf_writer(); ///< an unfinished file is removed
  gguf_writer(const gguf_writer&) = delete;
  gguf_writer& operator=(const gguf_writer&) = delete;

  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const char* value) { add(key, std::string_view{value}); }
  void add(std::string_view key, std::uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, const std::vector<std::string>& values);
  void add(std::string_view key, const std::vector<float>& values);
  void add(std::string_view key, const std::vector<std::int32_t>& values);

  /// dims[0] is contiguous. All metadata and declarations come before the first write.
  void declare(std::string_view name, tensor_type type, const std::vector<std::uint64_t>& dims);
  /// The payload of the next declared tensor.
  void write(std::span<const std::byte> payload);
  void finish();

private:
  struct declared {
    std::string name;
    tensor_type type;
    std::vector<std::uint64_t> dims;
    std::uint64_t bytes;
  };
  void begin_entry(std::string_view key, std::uint32_t type);
  void write_header();
  void put(std::span<const std::byte> bytes);

  std::filesystem::path path_, part_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::string metadata_;
  std::uint64_t n_entries_ = 0;
  std::vector<declared> tensors_;
  std::size_t written_ = 0;
  bool header_written_ = false, finished_ = false;
};

} // namespace bitnetd::engine
