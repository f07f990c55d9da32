// SPDX-License-Identifier: MIT
#include "store/job_id.h"

#include <algorithm>
#include <cerrno>
#include <sys/random.h>
#include <system_error>

namespace bitnetd::store {
namespace {

constexpr std::uint32_t counts_per_ms = 1u << 12;
constexpr std::size_t ids_at_once = 32; // 256 bytes: getrandom gives so many whole
constexpr std::uint64_t ms_mask = (std::uint64_t{1} << 48) - 1;

int digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool dash_before(std::size_t byte) noexcept {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void fill_random(std::uint8_t* out, std::size_t size) {
  while (size > 0) {
    const auto got = ::getrandom(out, size, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw std::system_error(errno, std::generic_category(), "getrandom");
    out += got;
    size -= static_cast<std::size_t>(got);
  }
}

std::vector<std::uint8_t> fresh_random() {
  std::vector<std::uint8_t> out(ids_at_once * 8);
  fill_random(out.data(), out.size());
  return out;
}

} // namespace

std::string job_id::text() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (dash_before(i))
      out.push_back('-');
    out.push_back(digits[bytes[i] >> 4]);
    out.push_back(digits[bytes[i] & 15]);
  }
  return out;
}

std::optional<job_id> job_id::parse(std::string_view text) noexcept {
  if (text.size() != 36)
    return std::nullopt;
  job_id out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    if (dash_before(i) && text[at++] != '-')
      return std::nullopt;
    const auto high = digit(text[at]), low = digit(text[at + 1]);
    if (high < 0 || low < 0)
      return std::nullopt;
    out.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    at += 2;
  }
  if (out.bytes[6] >> 4 != 7 || out.bytes[8] >> 6 != 2)
    return std::nullopt;
  return out;
}

std::uint64_t job_id::unix_ms() const noexcept {
  std::uint64_t ms = 0;
  for (std::size_t i = 0; i < 6; ++i)
    ms = ms << 8 | bytes[i];
  return ms;
}

job_id_source::job_id_source(const job_id& last) noexcept
    : last_ms_(last.unix_ms()),
      count_(static_cast<std::uint32_t>((last.bytes[6] & 15) << 8 | last.bytes[7])) {}

job_id job_id_source::next(wall_time now) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(to_wall_us(now), 0)) / 1000;
  if (ms > last_ms_) {
    last_ms_ = ms;
    count_ = 0;
  } else if (++count_ == counts_per_ms) {
    ++last_ms_;
    count_ = 0;
  }
  job_id id;
  for (std::size_t i = 0; i < 6; ++i)
    id.bytes[i] = static_cast<std::uint8_t>((last_ms_ & ms_mask) >> (40 - 8 * i));
  id.bytes[6] = static_cast<std::uint8_t>(0x70 | count_ >> 8);
  id.bytes[7] = static_cast<std::uint8_t>(count_);
  if (random_.empty()) // the kernel is asked for many at once: a call takes as long as the rest
    random_ = fresh_random();
  std::copy_n(random_.end() - 8, 8, id.bytes.begin() + 8);
  random_.resize(random_.size() - 8);
  id.bytes[8] = static_cast<std::uint8_t>(0x80 | (id.bytes[8] & 0x3F));
  return id;
}

} // namespace bitnetd::store
