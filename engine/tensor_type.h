// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace bitnetd::engine {

/// How a tensor's values are stored in a file. The numbers are GGUF's ids; ids that forks use for
/// different layouts are resolved in gguf_parser.cpp, never by indexing with a number from a file.
enum class tensor_type : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q8_0 = 8,
  q4_k = 12,
  q6_k = 14,
  iq4_nl = 20,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  i2_s = 36,
  q2_0 = 42,
  iq1_bn = 134,
  iq2_bn = 135,
  // Numbers above 65535 are ours: layouts that have no id of their own. No file can name them.
  i2_s_lanes16 = 0x10000 + 36, ///< I2_S in groups of 64: bitnet.cpp's quantizer built for ARM
  i2_s_rows4 = 0x20000 + 36,   ///< I2_S in groups of four rows: bitnet.cpp without ACT_PARALLEL
  hf_packed = 0x30000,         ///< Hugging Face's packing of ternary weights, then its float factor
};

/// Which of the three layouts that share id 36 a file has. Nothing in a file tells them apart, and
/// a wrong guess gives plausible noise: `common` is what every published file and converter has.
enum class i2s_layout { common, lanes16, rows4 };
[[nodiscard]] tensor_type i2s_type(i2s_layout layout) noexcept;
/// "common", "lanes16", "rows4"; empty for any other name.
[[nodiscard]] std::optional<i2s_layout> find_i2s_layout(std::string_view name) noexcept;

/// What is fixed about a type: a row is a header of row_bytes, then blocks. The I2_S types have
/// neither: one float scale for the whole tensor (elements / 4 + 32 bytes); block_bytes is 0 there.
/// The same is true of hf_packed (elements / 4 + 4 bytes).
struct tensor_type_info {
  tensor_type type;
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
  bool ternary;
  std::uint32_t row_bytes = 0;

  /// One scale for the whole tensor, behind its codes: no rows or blocks of their own.
  [[nodiscard]] bool has_tensor_scale() const noexcept { return block_bytes == 0; }
};

/// The type with this id, or nullptr when we do not read it. Knows ids of files only.
[[nodiscard]] const tensor_type_info* find_tensor_type(std::uint32_t id) noexcept;
[[nodiscard]] const tensor_type_info& info(tensor_type type) noexcept;

/// Bytes of a tensor with `cols` contiguous values in each of `rows` rows. Empty when cols is not a
/// multiple of the block (I2_S: when the element count is no multiple of its group, or the rows no
/// multiple of four where they are packed so) or the size overflows.
[[nodiscard]] std::optional<std::uint64_t> tensor_bytes(tensor_type type, std::uint64_t rows,
                                                        std::uint64_t cols) noexcept;

/// Decodes rows [first_row, first_row + n_rows) of a tensor to float32.
///
/// Shapes   raw: the whole tensor as stored; out [n_rows, cols].
/// Requires raw.size() == tensor_bytes(type, rows, cols): asserted.
/// Source   the GGUF block layouts; docs/architecture.md names how they were checked.
void decode_rows(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                 std::uint64_t cols, std::uint64_t first_row, std::uint64_t n_rows, float* out);

/// Why a ternary payload was refused, or no_error.
enum class ternary_error { no_error, code_three, scale_not_finite, mixed_scales };

/// Decodes a ternary tensor (I2_S, TQ1_0, TQ2_0, IQ1_BN, IQ2_BN, hf_packed) to codes {-1, 0, +1}
/// and one scale per row.
///
/// Shapes   t [rows, cols]; row_scales [rows].
/// Errors   code_three: a 2-bit code of 3, which engines read differently; scale_not_finite;
///          mixed_scales: blocks of one row disagree, so that no row scale exists (the caller then
///          keeps the tensor as floats through decode_rows).
[[nodiscard]] ternary_error decode_ternary(tensor_type type, std::span<const std::byte> raw,
                                           std::uint64_t rows, std::uint64_t cols, std::int8_t* t,
                                           float* row_scales);

/// IEEE half <-> float, round to nearest even; without instruction-set requirements.
[[nodiscard]] float half_to_float(std::uint16_t h) noexcept;
[[nodiscard]] std::uint16_t float_to_half(float f) noexcept;

} // namespace bitnetd::engine
