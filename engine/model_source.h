// SPDX-License-Identifier: MIT
#pragma once

#include "engine/errors.h"
#include "engine/tensor_type.h"

#include <cstdint>
#include <filesystem>
#include <memory>
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
  std::uint64_t offset = 0;        ///< from the start of its file
  std::uint64_t bytes = 0;
  bool ternarise = false; ///< float master weights of a ternary layer: absmean at load

  [[nodiscard]] std::uint64_t cols() const noexcept { return dims[0]; }
  [[nodiscard]] std::uint64_t rows() const noexcept; ///< product of the other dimensions
};

/// Where a model comes from, as its loader sees it: metadata under GGUF's keys, tensors under GGUF's
/// names. A GGUF file is that by nature; a Hugging Face folder is translated into it, so that all
/// checks, the hash and the repacking are the same. Open for reading; reads may come from several
/// threads.
class model_source {
public:
  virtual ~model_source() = default;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; } ///< of all its files
  [[nodiscard]] virtual std::string format() const = 0; ///< "GGUF v3"
  /// Whether the rows of q and k of architecture `llama` are reordered for interleaved RoPE, as
  /// GGUF's converters do.
  [[nodiscard]] virtual bool has_permuted_rope() const noexcept { return true; }

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
  virtual void read(const gguf_tensor& tensor, std::uint64_t from,
                    std::span<std::byte> out) const = 0;

protected:
  model_source() = default;
  model_source(model_source&&) noexcept = default;
  model_source& operator=(model_source&&) noexcept = default;

  /// Each answers whether there was none of that name before.
  bool add_entry(std::string key, gguf_value value);
  bool add_tensor(gguf_tensor tensor);

  std::filesystem::path path_;
  std::uint64_t size_ = 0;
  std::vector<std::pair<std::string, gguf_value>> metadata_;
  std::unordered_map<std::string, std::size_t> keys_;
  std::vector<gguf_tensor> tensors_;
  std::unordered_map<std::string, std::size_t> names_;
};

/// Opens a GGUF file, or a Hugging Face folder. `layout`: of I2_S tensors, which no file tells.
/// Throws load_error.
[[nodiscard]] std::unique_ptr<const model_source>
open_model_source(const std::filesystem::path& path, i2s_layout layout = i2s_layout::common);

} // namespace bitnetd::engine
