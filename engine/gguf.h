// SPDX-License-Identifier: MIT
#pragma once

#include "engine/errors.h"
#include "engine/tensor_type.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace bitnetd::engine {

/// One metadata value. Integers are widened; strings are byte strings (token texts need not be
/// UTF-8). Arrays hold one kind of element.
using gguf_value = std::variant<std::uint64_t, std::int64_t, double, bool, std::string,
                                std::vector<std::int64_t>, std::vector<std::uint64_t>,
                                std::vector<float>, std::vector<bool>, std::vector<std::string>>;

/// Where one tensor lies in the file.
struct gguf_tensor {
  std::string name;
  tensor_type type = tensor_type::f32;
  std::vector<std::uint64_t> dims; ///< dims[0] is contiguous: a linear layer has {in, out}
  std::uint64_t offset = 0;        ///< from the start of the file
  std::uint64_t bytes = 0;

  [[nodiscard]] std::uint64_t cols() const noexcept { return dims[0]; }
  [[nodiscard]] std::uint64_t rows() const noexcept; ///< product of the other dimensions
};

/// What a file is made of, by name and number, read or not.
struct gguf_kinds {
  std::string architecture;            ///< empty: the file does not say
  std::vector<std::uint32_t> type_ids; ///< of its tensors, each once, ascending
};

/// A GGUF v2 or v3 container, open for reading: metadata and tensor table checked in full
/// (bounds, counts, types, duplicates, alignment, overlap, overflow) before anything large is
/// allocated. Payload is read with pread, never mapped: a file that shrinks gives an error, not a
/// signal. Movable; reads may come from several threads.
class gguf_file {
public:
  /// Opens a regular file. Throws load_error with the place and the reason.
  static gguf_file open(const std::filesystem::path& path);
  /// Looks at the head alone: sound metadata and table are required, known types are not.
  static gguf_kinds peek(const std::filesystem::path& path);
  ~gguf_file();
  gguf_file(gguf_file&&) noexcept;
  gguf_file& operator=(gguf_file&&) noexcept;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const std::vector<gguf_tensor>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const gguf_tensor* find_tensor(std::string_view name) const noexcept;

  /// Keys in the order of the file.
  [[nodiscard]] const std::vector<std::pair<std::string, gguf_value>>& metadata() const noexcept {
    return metadata_;
  }
  [[nodiscard]] const gguf_value* find(std::string_view key) const noexcept;

  // Typed access. Absent: empty. Present with another type, or negative where a count is meant:
  // load_error that names the key.
  [[nodiscard]] std::optional<std::uint64_t> get_count(std::string_view key) const;
  [[nodiscard]] std::optional<double> get_float(std::string_view key) const;
  [[nodiscard]] std::optional<bool> get_bool(std::string_view key) const;
  [[nodiscard]] std::optional<std::string> get_string(std::string_view key) const;
  [[nodiscard]] const std::vector<std::string>* get_strings(std::string_view key) const;
  [[nodiscard]] std::vector<std::int64_t> get_integers(std::string_view key) const; ///< absent: {}
  [[nodiscard]] const std::vector<float>* get_floats(std::string_view key) const;

  /// Reads bytes [from, from + out.size()) of the tensor. Throws load_error on a short read.
  void read(const gguf_tensor& tensor, std::uint64_t from, std::span<std::byte> out) const;

private:
  gguf_file() = default;
  friend class gguf_parser;

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint32_t version_ = 0;
  std::uint64_t size_ = 0;
  std::vector<std::pair<std::string, gguf_value>> metadata_;
  std::unordered_map<std::string, std::size_t> keys_;
  std::vector<gguf_tensor> tensors_;
  std::unordered_map<std::string, std::size_t> names_;
};

} // namespace bitnetd::engine
