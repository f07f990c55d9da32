// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace bitnetd::store {

// Fixed layouts in records are little-endian; keys are big-endian (keys.h).

/// Appends fields to a record.
class byte_writer {
public:
  explicit byte_writer(std::string& out) : out_(out) {}

  template <std::unsigned_integral T> byte_writer& number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      out_.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
    return *this;
  }
  byte_writer& time(std::int64_t us) { return number(static_cast<std::uint64_t>(us)); }
  byte_writer& real(float value) { return number(std::bit_cast<std::uint32_t>(value)); }
  byte_writer& raw(std::span<const std::uint8_t> bytes) {
    out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return *this;
  }
  /// Length as u32, then the bytes.
  byte_writer& text(std::string_view bytes) {
    number(static_cast<std::uint32_t>(bytes.size()));
    out_.append(bytes);
    return *this;
  }

private:
  std::string& out_;
};

/// Takes fields off the front of a record. After a field that is not all there, ok() is false and
/// every further field is zero or empty.
class byte_reader {
public:
  explicit byte_reader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T> T number() {
    const auto bytes = take(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return static_cast<T>(value);
  }
  std::int64_t time() { return static_cast<std::int64_t>(number<std::uint64_t>()); }
  float real() { return std::bit_cast<float>(number<std::uint32_t>()); }
  void raw(std::span<std::uint8_t> out) {
    const auto bytes = take(out.size());
    if (!bytes.empty())
      std::memcpy(out.data(), bytes.data(), bytes.size());
  }
  std::string_view text() { return take(number<std::uint32_t>()); }
  /// The next `size` bytes, or nothing and ok() becomes false.
  std::string_view take(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  /// Everything was read, and nothing was missing.
  [[nodiscard]] bool done() const noexcept { return ok_ && rest_.empty(); }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

private:
  std::string_view rest_;
  bool ok_ = true;
};

} // namespace bitnetd::store
