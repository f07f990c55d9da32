// SPDX-License-Identifier: MIT
#include "engine/repack.h"

#include "engine/kernels/ternary_layout.h"
#include "engine/row_checksum.h"
#include "engine/ternary_codecs.h"
#include "engine/unaligned.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

namespace bitnetd::engine {

namespace {

using four_words = std::array<std::uint64_t, 4>;

/// Exchanges, in every byte, pair j of word p with pair p of word j: codes that stood in lanes, one
/// to a pair, then stand side by side. Two halves of two words at a time.
void turn(four_words& w) noexcept {
  const auto exchange = [](std::uint64_t& a, std::uint64_t& b, unsigned by, std::uint64_t mask) {
    const auto other = ((a >> by) ^ b) & mask;
    b ^= other;
    a ^= other << by;
  };
  exchange(w[0], w[1], 2, 0x3333333333333333u);
  exchange(w[2], w[3], 2, 0x3333333333333333u);
  exchange(w[0], w[2], 4, 0x0f0f0f0f0f0f0f0fu);
  exchange(w[1], w[3], 4, 0x0f0f0f0f0f0f0f0fu);
}

/// Reads 16 bytes, and 16 others, as four words of either.
four_words load_two(const std::byte* first, const std::byte* second) noexcept {
  four_words w;
  for (std::size_t p = 0; p < 4; ++p)
    w[p] = load_unaligned<std::uint32_t>(first + 4 * p) |
           std::uint64_t{load_unaligned<std::uint32_t>(second + 4 * p)} << 32;
  return w;
}

/// 128 columns in four lanes of 32.
void words_of_lanes32(const std::byte* group, bool high_first, std::uint32_t* words) noexcept {
  auto w = load_two(group, group + 16);
  turn(w);
  if (high_first)
    std::reverse(w.begin(), w.end());
  std::memcpy(words, w.data(), sizeof w); // a lane is two words: little-endian, its first one low
}

/// 128 columns in two groups of four lanes of 16.
void words_of_lanes16(const std::byte* first, const std::byte* second, bool high_first,
                      std::uint32_t* words) noexcept {
  auto w = load_two(first, second);
  turn(w);
  for (std::size_t p = 0; p < 4; ++p) {
    const auto lane = w[high_first ? 3 - p : p];
    words[p] = static_cast<std::uint32_t>(lane);
    words[4 + p] = static_cast<std::uint32_t>(lane >> 32);
  }
}

constexpr std::size_t lanes16_bytes = 16;
constexpr std::array<std::byte, lanes16_bytes> zeros16 = [] {
  std::array<std::byte, lanes16_bytes> all{};
  all.fill(std::byte{0x55});
  return all;
}();

/// A row of `cols` columns, a multiple of 64, in groups of 64 that follow each other.
void row_of_lanes16(const std::byte* row, std::size_t cols, bool high_first,
                    std::uint32_t* words) noexcept {
  const auto* const end = row + cols / 4;
  for (; row < end; row += 2 * lanes16_bytes, words += 8)
    words_of_lanes16(row, row + lanes16_bytes < end ? row + lanes16_bytes : zeros16.data(),
                     high_first, words);
}

/// A row of `cols` columns, a multiple of 16, each in a byte of its own that it shares with three
/// other rows.
void row_of_bytes(const std::byte* row, std::size_t cols, unsigned shift,
                  std::uint32_t* words) noexcept {
  constexpr std::uint32_t pair = 0x03030303u;
  for (std::size_t c = 0; c < cols; c += ternary_line_columns, ++words) {
    *words = 0;
    for (unsigned p = 0; p < 4; ++p)
      *words |= (load_unaligned<std::uint32_t>(row + c + 4 * p) >> shift & pair) << (2 * p);
  }
}

class repacking {
public:
  repacking(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
            std::uint64_t cols)
      : type_{type}, raw_{raw.data()}, rows_{rows}, cols_{cols}, row_bytes_{raw.size() / rows} {}

  [[nodiscard]] repacked run(std::span<std::byte> packed) {
    repacked out;
    const auto row_words = ternary_row_words(cols_), bytes = panel_bytes(cols_);
    std::vector<std::uint32_t> words(ternary_panel_rows * row_words, ternary_zero_word);
    for (std::uint64_t row = 0; row < rows_; row += ternary_panel_rows) {
      const auto n = std::min<std::size_t>(ternary_panel_rows, rows_ - row);
      for (std::size_t i = 0; i < n; ++i) {
        const auto one = std::span{words}.subspan(i * row_words, row_words);
        read_row(row + i, one.data());
        out.checksum += row_checksum(one, cols_);
      }
      out.zeros += pack_ternary_panel(std::span{words}.first(n * row_words), cols_,
                                      packed.subspan(row / ternary_panel_rows * bytes, bytes));
    }
    return out;
  }

private:
  /// Writes the words that hold columns; those that pad the row are zeros already.
  void read_row(std::uint64_t row, std::uint32_t* words) {
    const auto* own = raw_ + row * row_bytes_; // of types with rows
    switch (type_) {
    case tensor_type::i2_s:
      if (cols_ % 128 != 0)
        return read_codes(row, words);
      own = raw_ + row * cols_ / 4;
      for (std::size_t c = 0; c < cols_; c += 128)
        words_of_lanes32(own + c / 4, true, words + c / ternary_line_columns);
      return;
    case tensor_type::i2_s_lanes16:
      return cols_ % 64 != 0 ? read_codes(row, words)
                             : row_of_lanes16(raw_ + row * cols_ / 4, cols_, true, words);
    case tensor_type::i2_s_rows4:
      return cols_ % ternary_line_columns != 0
                 ? read_codes(row, words)
                 : row_of_bytes(raw_ + row / 4 * cols_, cols_,
                                static_cast<unsigned>(6 - 2 * (row % 4)), words);
    case tensor_type::hf_packed:
      return cols_ % ternary_line_columns != 0
                 ? read_codes(row, words)
                 : row_of_bytes(raw_ + row % (rows_ / 4) * cols_, cols_,
                                static_cast<unsigned>(2 * (row / (rows_ / 4))), words);
    case tensor_type::iq2_bn:
      return row_of_lanes16(own + info(type_).row_bytes, cols_, false, words);
    case tensor_type::tq2_0:
      return read_tq2_0(own, words);
    default:
      return read_codes(row, words);
    }
  }

  void read_tq2_0(const std::byte* block, std::uint32_t* words) const {
    constexpr auto block_words = tq_block_elements / ternary_line_columns;
    for (std::size_t c = 0; c < cols_; c += tq_block_elements, words += block_words) {
      if (tq_scale(type_, block) == 0) {
        std::fill_n(words, block_words, ternary_zero_word);
      } else {
        words_of_lanes32(block, false, words);
        words_of_lanes32(block + 32, false, words + block_words / 2);
      }
      block += info(type_).block_bytes;
    }
  }

  /// Any layout, code by code.
  void read_codes(std::uint64_t row, std::uint32_t* words) {
    codes_.resize(cols_);
    const auto* own = raw_ + row * row_bytes_;
    if (info(type_).has_tensor_scale())
      tensor_row_codes(type_, raw_, rows_, cols_, row, codes_.data());
    else if (type_ == tensor_type::tq1_0)
      for (std::size_t c = 0; c < cols_; c += tq_block_elements, own += info(type_).block_bytes) {
        tq1_0_codes(own, codes_.data() + c);
        if (tq_scale(type_, own) == 0)
          std::fill_n(codes_.data() + c, tq_block_elements, std::int8_t{0});
      }
    else
      iq_row_codes(type_, own, cols_, codes_.data());
    words_of_codes(codes_, words);
  }

  tensor_type type_;
  const std::byte* raw_;
  std::uint64_t rows_, cols_, row_bytes_;
  std::vector<std::int8_t> codes_; ///< of one row
};

/// The one factor that the nonzero blocks of a TQ row share.
ternary_error tq_row_scale(tensor_type type, std::span<const std::byte> row, float& scale) {
  scale = 0;
  for (; !row.empty(); row = row.subspan(info(type).block_bytes)) {
    const float d = tq_scale(type, row.data());
    if (!std::isfinite(d))
      return ternary_error::scale_not_finite;
    if (d != 0 && scale != 0 && scale != d)
      return ternary_error::mixed_scales;
    if (d != 0)
      scale = d;
  }
  return ternary_error::no_error;
}

} // namespace

ternary_error ternary_scales(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                             std::uint64_t cols, std::span<float> row_scales) {
  assert(raw.size() == tensor_bytes(type, rows, cols) && row_scales.size() == rows);
  const auto row_bytes = raw.size() / rows;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto own = raw.subspan(row * row_bytes, row_bytes);
    auto error = ternary_error::no_error;
    if (type == tensor_type::tq1_0 || type == tensor_type::tq2_0)
      error = tq_row_scale(type, own, row_scales[row]);
    else
      row_scales[row] = info(type).has_tensor_scale() ? tensor_scale(raw.data(), rows * cols)
                                                      : iq_row_scale(type, own.data());
    if (error != ternary_error::no_error)
      return error;
    if (!std::isfinite(row_scales[row]))
      return ternary_error::scale_not_finite;
  }
  return ternary_error::no_error;
}

repacked repack_ternary(tensor_type type, std::span<const std::byte> raw, std::uint64_t rows,
                        std::uint64_t cols, std::span<std::byte> packed) {
  assert(raw.size() == tensor_bytes(type, rows, cols) && packed.size() == packed_bytes(rows, cols));
  return repacking{type, raw, rows, cols}.run(packed);
}

} // namespace bitnetd::engine
