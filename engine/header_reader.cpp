// SPDX-License-Identifier: MIT
#include "engine/header_reader.h"

#include "engine/file_input.h"

#include <algorithm>
#include <cstring>

namespace bitnetd::engine {

namespace {

// Far above any published file; a string array grows about fourfold in memory, numbers eightfold.
constexpr std::uint64_t max_header_bytes = 128u << 20;
constexpr std::uint64_t window_bytes = 256u << 10;

} // namespace

/// As the file numbers them.
enum class header_reader::value_type : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

header_reader::header_reader(std::filesystem::path path, int fd, std::uint64_t size)
    : path_{std::move(path)}, fd_{fd}, size_{size} {}

void header_reader::refuse(const std::string& what) const {
  throw load_error{path_.string() + ": " + place_ + ": " + what};
}

void header_reader::need(std::uint64_t bytes) const {
  if (bytes > bytes_left())
    refuse("the file ends here (" + std::to_string(size_) + " bytes); it is truncated");
  if (position_ + bytes > max_header_bytes)
    refuse("metadata and tensor table are longer than 128 MiB");
}

void header_reader::take(std::span<std::byte> out) {
  need(out.size());
  while (!out.empty()) {
    if (position_ >= window_start_ + window_.size())
      fill_window();
    const auto offset = position_ - window_start_;
    const auto n = std::min<std::uint64_t>(out.size(), window_.size() - offset);
    std::memcpy(out.data(), window_.data() + offset, n);
    position_ += n;
    out = out.subspan(n);
  }
}

void header_reader::fill_window() {
  window_start_ = position_;
  window_.resize(std::min(window_bytes, bytes_left()));
  read_exactly(fd_, path_, position_, window_);
}

std::string header_reader::string(std::uint64_t limit, std::string_view what) {
  const auto length = number<std::uint64_t>();
  if (length > limit)
    refuse(std::string{what} + " of " + std::to_string(length) + " bytes; at most " +
           std::to_string(limit) + " are allowed");
  need(length);
  std::string text(length, '\0');
  take(std::as_writable_bytes(std::span{text.data(), length}));
  return text;
}

void header_reader::plausible(std::string_view what, std::uint64_t count, std::uint64_t bytes_each,
                              std::uint64_t limit) const {
  if (count > limit || count > bytes_left() / bytes_each)
    refuse(std::to_string(count) + " " + std::string{what} +
           " cannot be: the file is too short for them, or there are more than " +
           std::to_string(limit));
}

std::uint64_t header_reader::value_bytes(value_type type) noexcept {
  switch (type) {
  case value_type::u8:
  case value_type::i8:
  case value_type::boolean:
    return 1;
  case value_type::u16:
  case value_type::i16:
    return 2;
  case value_type::u32:
  case value_type::i32:
  case value_type::f32:
    return 4;
  case value_type::u64:
  case value_type::i64:
  case value_type::f64:
    return 8;
  case value_type::string:
  case value_type::array:
    break;
  }
  return 0; // not of fixed size, or unknown
}

gguf_value header_reader::value() {
  const auto type = static_cast<value_type>(number<std::uint32_t>());
  return type == value_type::array ? array() : scalar(type);
}

gguf_value header_reader::scalar(value_type type) {
  switch (type) {
  case value_type::u8:
  case value_type::u16:
  case value_type::u32:
  case value_type::u64:
    return unsigned_number(type);
  case value_type::i8:
  case value_type::i16:
  case value_type::i32:
  case value_type::i64:
    return signed_number(type);
  case value_type::f32:
    return double{number<float>()};
  case value_type::f64:
    return number<double>();
  case value_type::boolean:
    return boolean();
  case value_type::string:
    return string(max_header_bytes, "a string");
  case value_type::array:
    break;
  }
  refuse("unknown value type " + std::to_string(static_cast<std::uint32_t>(type)));
}

std::uint64_t header_reader::unsigned_number(value_type type) {
  std::uint64_t number = 0; // little-endian: the low bytes come first
  take(std::as_writable_bytes(std::span{&number, 1}).first(value_bytes(type)));
  return number;
}

std::int64_t header_reader::signed_number(value_type type) {
  const auto unused_bits = 64 - 8 * static_cast<unsigned>(value_bytes(type));
  return static_cast<std::int64_t>(unsigned_number(type) << unused_bits) >> unused_bits;
}

bool header_reader::boolean() {
  const auto byte = number<std::uint8_t>();
  if (byte > 1)
    refuse("a bool of " + std::to_string(byte) + "; expected 0 or 1");
  return byte == 1;
}

gguf_value header_reader::array() {
  const auto type = static_cast<value_type>(number<std::uint32_t>());
  const auto count = number<std::uint64_t>();
  if (type == value_type::array)
    refuse("arrays of arrays are not supported");
  const auto bytes_each = type == value_type::string ? sizeof(std::uint64_t) : value_bytes(type);
  if (bytes_each == 0)
    refuse("unknown array element type " + std::to_string(static_cast<std::uint32_t>(type)));
  if (count > bytes_left() / bytes_each)
    refuse("an array of " + std::to_string(count) + " elements cannot be: the file is too short");
  need(count * bytes_each); // within the limit of the header too, before anything is reserved
  return elements(type, count);
}

namespace {

template <class T, class Read> std::vector<T> fill(std::uint64_t count, Read read) {
  std::vector<T> values;
  values.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i)
    values.push_back(read());
  return values;
}

} // namespace

gguf_value header_reader::elements(value_type type, std::uint64_t count) {
  switch (type) {
  case value_type::u8:
  case value_type::u16:
  case value_type::u32:
  case value_type::u64:
    return fill<std::uint64_t>(count, [&] { return unsigned_number(type); });
  case value_type::f32:
    return fill<float>(count, [&] { return number<float>(); });
  case value_type::f64:
    return fill<float>(count, [&] { return static_cast<float>(number<double>()); });
  case value_type::boolean:
    return fill<bool>(count, [&] { return boolean(); });
  case value_type::string:
    return fill<std::string>(count, [&] { return string(max_header_bytes, "a string"); });
  default:
    return fill<std::int64_t>(count, [&] { return signed_number(type); });
  }
}

} // namespace bitnetd::engine
