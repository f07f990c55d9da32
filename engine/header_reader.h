// SPDX-License-Identifier: MIT
#pragma once

#include "engine/gguf.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// Reads the head of a GGUF file front to back through a window, and the values in it. Nothing is
/// allocated on the word of a count that the file is too short to hold. Every error is a load_error
/// with the file's name and the place that `at` named last.
class header_reader {
public:
  /// `fd` stays the caller's.
  header_reader(std::filesystem::path path, int fd, std::uint64_t size);

  /// Names the place for error messages.
  void at(std::string place) { place_ = std::move(place); }
  [[noreturn]] void refuse(const std::string& what) const;

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t file_size() const noexcept { return size_; }

  void take(std::span<std::byte> out);
  template <class T> [[nodiscard]] T number() {
    T value;
    take(std::as_writable_bytes(std::span{&value, 1}));
    return value;
  }
  /// A string of at most `limit` bytes; `what` is its name in the message.
  [[nodiscard]] std::string string(std::uint64_t limit, std::string_view what);
  /// Refuses a count of things of at least `bytes_each` that cannot be in the rest of the file.
  void plausible(std::string_view what, std::uint64_t count, std::uint64_t bytes_each,
                 std::uint64_t limit) const;
  /// A metadata value: its type, then the value.
  [[nodiscard]] gguf_value value();

private:
  enum class value_type : std::uint32_t;
  [[nodiscard]] std::uint64_t bytes_left() const noexcept { return size_ - position_; }
  void need(std::uint64_t bytes) const;
  void fill_window();
  [[nodiscard]] static std::uint64_t value_bytes(value_type type) noexcept;
  [[nodiscard]] gguf_value scalar(value_type type);
  [[nodiscard]] gguf_value array();
  [[nodiscard]] gguf_value elements(value_type type, std::uint64_t count);
  [[nodiscard]] std::uint64_t unsigned_number(value_type type);
  [[nodiscard]] std::int64_t signed_number(value_type type);
  [[nodiscard]] bool boolean();

  std::filesystem::path path_;
  int fd_;
  std::uint64_t size_, position_ = 0, window_start_ = 0;
  std::string place_ = "header";
  std::vector<std::byte> window_;
};

} // namespace bitnetd::engine
