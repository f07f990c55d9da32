// SPDX-License-Identifier: MIT
#include "engine/tensor_type.h"

#include <bit>
#include <cassert>

namespace bitnetd::engine {

namespace {

constexpr tensor_type_info types[] = {
    {tensor_type::f32, "F32", 1, 4, false},
    {tensor_type::f16, "F16", 1, 2, false},
    {tensor_type::bf16, "BF16", 1, 2, false},
    {tensor_type::q4_0, "Q4_0", 32, 18, false},
    {tensor_type::q8_0, "Q8_0", 32, 34, false},
    {tensor_type::q4_k, "Q4_K", 256, 144, false},
    {tensor_type::q6_k, "Q6_K", 256, 210, false},
    {tensor_type::iq4_nl, "IQ4_NL", 32, 18, false},
    {tensor_type::q2_0, "Q2_0", 64, 18, false},
    {tensor_type::tq1_0, "TQ1_0", 256, 54, true},
    {tensor_type::tq2_0, "TQ2_0", 256, 66, true},
    {tensor_type::iq1_bn, "IQ1_BN", 64, 13, true, 2},
    {tensor_type::iq2_bn, "IQ2_BN", 64, 16, true, 4},
    {tensor_type::i2_s, "I2_S", 128, 0, true},
    {tensor_type::i2_s_lanes16, "I2_S (lanes16)", 64, 0, true},
    {tensor_type::i2_s_rows4, "I2_S (rows4)", 4, 0, true},
    {tensor_type::hf_packed, "HF ternary", 4, 0, true},
};

constexpr std::uint32_t first_id_of_ours = 0x10000;

const tensor_type_info* find(tensor_type type) noexcept {
  for (const auto& known : types)
    if (known.type == type)
      return &known;
  return nullptr;
}

} // namespace

tensor_type i2s_type(i2s_layout layout) noexcept {
  return layout == i2s_layout::lanes16 ? tensor_type::i2_s_lanes16
         : layout == i2s_layout::rows4 ? tensor_type::i2_s_rows4
                                       : tensor_type::i2_s;
}

std::optional<i2s_layout> find_i2s_layout(std::string_view name) noexcept {
  if (name == "common")
    return i2s_layout::common;
  if (name == "lanes16")
    return i2s_layout::lanes16;
  if (name == "rows4")
    return i2s_layout::rows4;
  return std::nullopt;
}

const tensor_type_info* find_tensor_type(std::uint32_t id) noexcept {
  return id < first_id_of_ours ? find(static_cast<tensor_type>(id)) : nullptr;
}

const tensor_type_info& info(tensor_type type) noexcept {
  const auto* known = find(type);
  assert(known != nullptr);
  return *known;
}

std::optional<std::uint64_t> tensor_bytes(tensor_type type, std::uint64_t rows,
                                          std::uint64_t cols) noexcept {
  const auto& layout = info(type);
  std::uint64_t elements = 0, bytes = 0;
  if (rows == 0 || cols == 0 || __builtin_mul_overflow(rows, cols, &elements) ||
      elements > static_cast<std::uint64_t>(INT64_MAX))
    return std::nullopt;
  if (type == tensor_type::hf_packed) // four rows in a byte
    return rows % 4 == 0 ? std::optional{elements / 4 + sizeof(float)} : std::nullopt;
  if (layout.has_tensor_scale()) { // groups run over row ends; one scale stands at the end
    const auto grouped = type == tensor_type::i2_s_rows4 ? rows : elements;
    return grouped % layout.block_elements == 0 ? std::optional{elements / 4 + 32} : std::nullopt;
  }
  std::uint64_t headers = 0;
  if (cols % layout.block_elements != 0 ||
      __builtin_mul_overflow(elements / layout.block_elements, std::uint64_t{layout.block_bytes},
                             &bytes) ||
      __builtin_mul_overflow(rows, std::uint64_t{layout.row_bytes}, &headers) ||
      __builtin_add_overflow(bytes, headers, &bytes))
    return std::nullopt;
  return bytes;
}

float half_to_float(std::uint16_t h) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t exponent = (h >> 10) & 31u, mantissa = h & 1023u;
  if (exponent == 31) // Inf, NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Zero and subnormals: mantissa * 2^-24, exact in float.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

std::uint16_t float_to_half(float f) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(f);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) // NaN stays one, quiet
    return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) // 65520 and above round to infinity
    return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5 leaves round(|f| * 2^24), half to even, in the low mantissa bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rebased = magnitude - (112u << 23);
  const std::uint32_t rounded = rebased + 0xfffu + ((rebased >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

} // namespace bitnetd::engine
