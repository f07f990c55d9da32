// SPDX-License-Identifier: MIT
#include "store/keys.h"

#include <algorithm>

namespace bitnetd::store {
namespace {

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

template <class T> void append_big_endian(std::string& out, T value) {
  for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift));
}

std::uint64_t read_big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const auto c : bytes)
    value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void append_bytes(std::string& out, const std::array<std::uint8_t, 16>& bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

} // namespace

key_writer& key_writer::byte(std::uint8_t value) {
  key_.push_back(static_cast<char>(value));
  return *this;
}

key_writer& key_writer::number(std::uint32_t value) {
  append_big_endian(key_, value);
  return *this;
}

key_writer& key_writer::number(std::uint64_t value) {
  append_big_endian(key_, value);
  return *this;
}

key_writer& key_writer::time(std::int64_t us) {
  return number(static_cast<std::uint64_t>(us) ^ sign_bit);
}

key_writer& key_writer::id(const job_id& id) {
  append_bytes(key_, id.bytes);
  return *this;
}

key_writer& key_writer::hash(const hash128& hash) {
  append_bytes(key_, hash.bytes);
  return *this;
}

key_writer& key_writer::text(std::string_view text) {
  for (const auto c : text) {
    key_.push_back(c);
    if (c == '\0')
      key_.push_back('\xFF');
  }
  key_.append(2, '\0');
  return *this;
}

key_writer& key_writer::rest(std::string_view bytes) {
  key_.append(bytes);
  return *this;
}

std::string_view key_reader::take(std::size_t size) {
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const auto out = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return out;
}

std::uint8_t key_reader::byte() { return static_cast<std::uint8_t>(read_big_endian(take(1))); }
std::uint32_t key_reader::number32() {
  return static_cast<std::uint32_t>(read_big_endian(take(4)));
}
std::uint64_t key_reader::number64() { return read_big_endian(take(8)); }
std::int64_t key_reader::time() { return static_cast<std::int64_t>(number64() ^ sign_bit); }

job_id key_reader::id() {
  job_id out;
  const auto bytes = take(out.bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.bytes.begin());
  return out;
}

hash128 key_reader::hash() {
  hash128 out;
  const auto bytes = take(out.bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.bytes.begin());
  return out;
}

std::string key_reader::text() {
  std::string out;
  while (true) {
    const auto zero = rest_.find('\0');
    if (!ok_ || zero == std::string_view::npos || zero + 1 >= rest_.size()) {
      ok_ = false;
      return {};
    }
    out.append(rest_.substr(0, zero));
    const auto mark = static_cast<unsigned char>(rest_[zero + 1]);
    rest_.remove_prefix(zero + 2);
    if (mark == 0)
      return out;
    if (mark != 0xFF) {
      ok_ = false;
      return {};
    }
    out.push_back('\0');
  }
}

std::string_view key_reader::rest() { return take(rest_.size()); }

std::string prefix_end(std::string_view prefix) {
  std::string out(prefix);
  while (!out.empty()) {
    if (static_cast<unsigned char>(out.back()) != 0xFF) {
      out.back() = static_cast<char>(static_cast<unsigned char>(out.back()) + 1);
      return out;
    }
    out.pop_back();
  }
  return out;
}

} // namespace bitnetd::store
