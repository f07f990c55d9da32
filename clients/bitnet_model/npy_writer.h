// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>

namespace bitnetd::model_tool {

/// Writes a float32 matrix as a NumPy file (format 1.0), row by row, so that it need not fit in
/// memory. The file appears under its name when it is complete.
class npy_writer {
public:
  /// Throws std::runtime_error with path and reason, as all of it does.
  npy_writer(std::filesystem::path path, std::size_t rows, std::size_t cols);
  ~npy_writer(); ///< an unfinished file is removed
  npy_writer(const npy_writer&) = delete;
  npy_writer& operator=(const npy_writer&) = delete;

  void row(std::span<const float> values);
  void finish();

private:
  void put(const void* bytes, std::size_t size);

  std::filesystem::path path_, part_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::size_t rows_left_, cols_;
};

} // namespace bitnetd::model_tool
