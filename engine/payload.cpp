// SPDX-License-Identifier: MIT
#include "engine/payload.h"

#include "base/piece_hash.h"
#include "engine/printable.h"
#include "engine/ternary_codecs.h"
#include "engine/unaligned.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace bitnetd::engine {

namespace {

/// Of one byte: how many of its codes are zero, and whether one is invalid.
struct byte_codes {
  std::uint8_t zeros = 0;
  bool invalid = false;
};

constexpr auto make_two_bit_codes() { // four codes in one byte: 0, 1 (= zero), 2; 3 is invalid
  std::array<byte_codes, 256> all{};
  for (unsigned byte = 0; byte < 256; ++byte)
    for (unsigned shift = 0; shift < 8; shift += 2) {
      const unsigned code = (byte >> shift) & 3u;
      all[byte].zeros = static_cast<std::uint8_t>(all[byte].zeros + (code == 1));
      all[byte].invalid = all[byte].invalid || code == 3;
    }
  return all;
}
constexpr auto two_bit_codes = make_two_bit_codes();

std::uint64_t zeros_in_base3(unsigned byte, std::size_t first, std::size_t end) noexcept {
  std::uint64_t zeros = 0;
  for (std::size_t n = first; n < end; ++n)
    zeros += base3_digits()[byte][n] == 0;
  return zeros;
}

class payload_check {
public:
  payload_check(const model_source& file, const gguf_tensor& tensor, std::span<const std::byte> raw)
      : file_{file}, tensor_{tensor}, raw_{raw} {}

  /// Checks everything; returns how many codes are zero.
  std::uint64_t run() {
    switch (tensor_.type) {
    case tensor_type::f32:
      return floats(0x7f800000u, std::uint32_t{});
    case tensor_type::f16:
      return floats(0x7c00u, std::uint16_t{});
    case tensor_type::bf16:
      return floats(0x7f80u, std::uint16_t{});
    case tensor_type::i2_s:
    case tensor_type::i2_s_lanes16:
    case tensor_type::i2_s_rows4:
    case tensor_type::hf_packed:
      return one_scale();
    case tensor_type::iq1_bn:
    case tensor_type::iq2_bn:
      return iq();
    case tensor_type::tq1_0:
    case tensor_type::tq2_0:
      return tq();
    case tensor_type::q4_0:
    case tensor_type::q8_0:
    case tensor_type::iq4_nl:
    case tensor_type::q2_0:
      return scales(0, 0);
    case tensor_type::q4_k:
      return scales(0, 2);
    case tensor_type::q6_k:
      return scales(208, 208);
    }
    return 0;
  }

private:
  [[noreturn]] void refuse(const std::string& what, std::uint64_t at) const {
    throw load_error{file_.path().string() + ": tensor " + printable(tensor_.name) + " (" +
                     std::string{info(tensor_.type).name} + "), byte " + std::to_string(at) + ": " +
                     what};
  }

  /// Every value finite: not all bits of `exponent` set. Many values are looked at together, which
  /// the compiler does in vectors; where one of them is wrong, one by one.
  template <class Bits> std::uint64_t floats(Bits exponent, Bits) const {
    constexpr std::uint64_t together = 1024 * sizeof(Bits);
    for (std::uint64_t from = 0; from < raw_.size(); from += together) {
      const auto end = std::min<std::uint64_t>(raw_.size(), from + together);
      Bits wrong = 0;
      for (auto at = from; at < end; at += sizeof(Bits))
        wrong = static_cast<Bits>(wrong | Bits{is_not_finite(at, exponent)});
      for (auto at = from; wrong != 0 && at < end; at += sizeof(Bits))
        if (is_not_finite(at, exponent))
          refuse("the value is NaN or infinite; the file is damaged or was badly converted", at);
    }
    return 0;
  }
  template <class Bits> [[nodiscard]] bool is_not_finite(std::uint64_t at, Bits exponent) const {
    return (load_unaligned<Bits>(raw_.data() + at) & exponent) == exponent;
  }
  std::uint64_t floats(std::uint32_t exponent, std::uint16_t zero) const {
    return floats(static_cast<std::uint16_t>(exponent), zero);
  }

  void finite_float(std::uint64_t at) const {
    if ((load_unaligned<std::uint32_t>(raw_.data() + at) & 0x7f800000u) == 0x7f800000u)
      refuse("the scale is NaN or infinite; the file is damaged or was badly converted", at);
  }

  void finite_half(std::uint64_t at) const {
    if ((load_unaligned<std::uint16_t>(raw_.data() + at) & 0x7c00u) == 0x7c00u)
      refuse("the scale is NaN or infinite; the file is damaged or was badly converted", at);
  }

  /// The half scales at these two places of every block.
  std::uint64_t scales(std::uint64_t first, std::uint64_t second) const {
    for (std::uint64_t at = 0; at < raw_.size(); at += info(tensor_.type).block_bytes) {
      finite_half(at + first);
      finite_half(at + second);
    }
    return 0;
  }

  std::uint64_t two_bit(std::uint64_t from, std::uint64_t count) const {
    // Eight bytes at a time: a code's high bit stands beside its low bit. Zeros are counted in
    // every byte apart, for as long as a byte can: most CPUs' own instruction is not in every
    // x86-64.
    constexpr std::uint64_t low_bits = 0x5555555555555555u, bytes = 0x00ff00ff00ff00ffu;
    constexpr std::uint64_t together = std::uint64_t{8} * (255 / 4);
    std::uint64_t zeros = 0, threes = 0, at_byte = from;
    const std::uint64_t end = from + count;
    while (end - at_byte >= 8) {
      std::uint64_t counts = 0;
      const auto stop = at_byte + std::min(together, (end - at_byte) / 8 * 8);
      for (; at_byte < stop; at_byte += 8) {
        const auto codes = load_unaligned<std::uint64_t>(raw_.data() + at_byte);
        const std::uint64_t low = codes & low_bits, high = codes >> 1 & low_bits;
        threes |= low & high;
        const auto pairs = low & ~high;
        const auto fours = (pairs & 0x3333333333333333u) + (pairs >> 2 & 0x3333333333333333u);
        counts += (fours & 0x0f0f0f0f0f0f0f0fu) + (fours >> 4 & 0x0f0f0f0f0f0f0f0fu);
      }
      zeros += ((counts & bytes) + (counts >> 8 & bytes)) * 0x0001000100010001u >> 48;
    }
    bool invalid = threes != 0;
    for (; at_byte < end; ++at_byte) {
      const auto codes = two_bit_codes[byte_at(raw_.data() + at_byte)];
      zeros += codes.zeros;
      invalid = invalid || codes.invalid;
    }
    if (invalid) {
      std::uint64_t at = from;
      while (!two_bit_codes[byte_at(raw_.data() + at)].invalid)
        ++at;
      refuse(
          "a ternary code of 3, which has no meaning; the file is damaged, or written in another "
          "I2_S layout",
          at);
    }
    return zeros;
  }

  /// Codes, then the scale of the whole tensor (and what pads it).
  std::uint64_t one_scale() const {
    const std::uint64_t code_bytes = tensor_.rows() * tensor_.cols() / 4;
    finite_float(code_bytes);
    return two_bit(0, code_bytes);
  }

  std::uint64_t iq() const {
    const auto& layout = info(tensor_.type);
    const std::uint64_t row_bytes = raw_.size() / tensor_.rows();
    std::uint64_t zeros = 0;
    for (std::uint64_t at = 0; at < raw_.size(); at += row_bytes) {
      if (tensor_.type == tensor_type::iq2_bn) {
        finite_float(at);
        zeros += two_bit(at + layout.row_bytes, row_bytes - layout.row_bytes);
        continue;
      }
      finite_half(at);
      for (std::uint64_t j = layout.row_bytes; j < row_bytes; ++j) {
        const bool extra = (j - layout.row_bytes) % layout.block_bytes == 12;
        zeros += zeros_in_base3(byte_at(raw_.data() + at + j), extra ? 1 : 0, 5);
      }
    }
    return zeros;
  }

  std::uint64_t tq() const {
    const std::uint64_t block_bytes = info(tensor_.type).block_bytes;
    std::uint64_t zeros = 0;
    for (std::uint64_t at = 0; at < raw_.size(); at += block_bytes) {
      finite_half(at + block_bytes - 2);
      if (tensor_.type == tensor_type::tq2_0) {
        zeros += two_bit(at, 64);
        continue;
      }
      for (std::uint64_t j = 0; j < 52; ++j)
        zeros += zeros_in_base3(byte_at(raw_.data() + at + j), 0, j < 48 ? 5 : 4);
    }
    return zeros;
  }

  const model_source& file_;
  const gguf_tensor& tensor_;
  std::span<const std::byte> raw_;
};

} // namespace

payload_facts check_payload(const model_source& file, const gguf_tensor& tensor,
                            std::span<const std::byte> raw) {
  assert(raw.size() == tensor.bytes);
  const std::uint64_t zeros = payload_check{file, tensor, raw}.run();
  payload_facts facts;
  facts.hash = hash_in_pieces(raw);
  facts.zero_share =
      static_cast<double>(zeros) / static_cast<double>(tensor.rows() * tensor.cols());
  return facts;
}

} // namespace bitnetd::engine
