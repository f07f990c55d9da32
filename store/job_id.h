// SPDX-License-Identifier: MIT
#pragma once

#include "base/clock.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnetd::store {

/// Identity of a job: a UUID of version 7 (RFC 9562). The first 48 bits are milliseconds since the
/// Unix epoch, big-endian, so that the order of ids is the order of acceptance.
struct job_id {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const job_id&) const = default;

  /// "0190163d-8694-739b-aea5-966c26f8ad91"
  [[nodiscard]] std::string text() const;
  /// Reads the text form, in either case of letters. Nothing for any other text, and for UUIDs that
  /// are not version 7.
  [[nodiscard]] static std::optional<job_id> parse(std::string_view text) noexcept;
  /// Milliseconds since the Unix epoch in the first 48 bits.
  [[nodiscard]] std::uint64_t unix_ms() const noexcept;
};

/// Makes ids that rise strictly, even within one millisecond and when the clock goes backwards: the
/// 12 bits after the version count within a millisecond, and run over into the next one. The other
/// 62 bits are random (getrandom), so that an id cannot be guessed. One thread at a time.
class job_id_source {
public:
  /// Every id will be greater than `last`, the newest id in the store (jobs_db::last_id).
  explicit job_id_source(const job_id& last = {}) noexcept;

  /// Throws std::system_error when the kernel has no random bytes.
  [[nodiscard]] job_id next(wall_time now);

private:
  std::vector<std::uint8_t> random_; ///< what is left of it
  std::uint64_t last_ms_ = 0;
  std::uint32_t count_ = 0;
};

} // namespace bitnetd::store

template <> struct std::hash<bitnetd::store::job_id> {
  std::size_t operator()(const bitnetd::store::job_id& id) const noexcept {
    std::size_t out = 0; // the random half
    std::memcpy(&out, id.bytes.data() + 8, sizeof out);
    return out;
  }
};
