// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "store/job_id.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitnetd::store {

// Keys are written so that their order as bytes is the order of what they mean: numbers
// big-endian, times with the sign bit turned, text escaped and ended. A key is built by appending
// its parts and read by taking them off the front in the same order.

class key_writer {
public:
  key_writer& byte(std::uint8_t value);
  key_writer& number(std::uint32_t value); ///< 4 bytes
  key_writer& number(std::uint64_t value); ///< 8 bytes
  key_writer& time(std::int64_t us);       ///< 8 bytes, before 1970 sorts first
  key_writer& id(const job_id& id);        ///< 16 bytes
  key_writer& hash(const hash128& hash);   ///< 16 bytes
  /// Any bytes: 00 becomes 00 FF, and 00 00 ends them. A text sorts before its continuations.
  key_writer& text(std::string_view text);
  /// Bytes as they are; only at the end of a key.
  key_writer& rest(std::string_view bytes);

  [[nodiscard]] std::string take() { return std::move(key_); }

private:
  std::string key_;
};

/// After a part that is not there, ok() is false and every further part is empty.
class key_reader {
public:
  explicit key_reader(std::string_view key) : rest_(key) {}

  std::uint8_t byte();
  std::uint32_t number32();
  std::uint64_t number64();
  std::int64_t time();
  job_id id();
  hash128 hash();
  std::string text();
  std::string_view rest();

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  /// The whole key was read, and nothing was missing.
  [[nodiscard]] bool done() const noexcept { return ok_ && rest_.empty(); }

private:
  std::string_view take(std::size_t size);
  std::string_view rest_;
  bool ok_ = true;
};

/// The least key greater than every key that starts with `prefix`: the upper bound of a scan.
/// Empty, which means the end, for a prefix of FF bytes only.
[[nodiscard]] std::string prefix_end(std::string_view prefix);

} // namespace bitnetd::store
