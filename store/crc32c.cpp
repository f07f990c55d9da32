// SPDX-License-Identifier: MIT
#include "store/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace bitnetd::store {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    auto crc = byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
    table[byte] = crc;
  }
  return table;
}

constexpr auto table = make_table();

std::uint32_t by_table(std::string_view bytes, std::uint32_t crc) noexcept {
  for (const auto c : bytes)
    crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFFu];
  return crc;
}

#ifdef __x86_64__
// Eight bytes per instruction: a request of 8 MiB costs about 1 ms instead of 20.
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::string_view bytes,
                                                               std::uint32_t crc) noexcept {
  std::uint64_t wide = crc;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; at < bytes.size(); ++at)
    crc = __builtin_ia32_crc32qi(crc, static_cast<unsigned char>(bytes[at]));
  return crc;
}
#endif

} // namespace

std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc) noexcept {
#ifdef __x86_64__
  if (__builtin_cpu_supports("sse4.2"))
    return ~by_instruction(bytes, ~crc);
#endif
  return ~by_table(bytes, ~crc);
}

} // namespace bitnetd::store
