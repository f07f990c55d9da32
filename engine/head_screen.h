// SPDX-License-Identifier: MIT
#pragma once

#include "engine/head_query.h"
#include "engine/kernels/packed_layout.h"
#include "engine/linear.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// Rounds a dense matrix, row by row, to 4 or 8 bits with one scale per row: in parallel, a panel
/// at a time. 4 bits: 16 odd multiples of the scale, the best step for values spread like a bell
/// where that is finer than the largest value asks for. Requires cols <= 65536.
[[nodiscard]] linear round_rows(const linear& dense, packed_bits bits,
                                std::optional<int> memory_node, const kernel_table& kernels);

/// A 4-bit copy of a head with a proven bound of its error per row: the copy is read first, then
/// only the rows that may matter are read exactly.
///
/// Let w be an exact row, v its rounded copy, x the input, z the input rounded to int8. Then
///
///   |w.x - v.z| = |(w - v).x + v.(x - z)|  <=  |w - v| |x| + |v| |x - z|       (Cauchy-Schwarz)
///
/// and |w - v|, |v| are known per row, |x|, |x - z| per token. All four are rounded up, and |w - v|
/// has the rounding of the exact float sum added, so that the bound holds for the logits as they
/// are computed, not only as they are defined. A row whose bound is below the smallest logit that
/// can be drawn cannot be drawn.
class head_screen {
public:
  /// Whether a dense head of so many bytes gains by a screen: smaller ones come from a cache
  /// anyway, and what has more columns cannot be rounded.
  [[nodiscard]] static constexpr bool worthwhile(std::uint64_t bytes, std::uint64_t cols) noexcept {
    return bytes >= std::uint64_t{8} << 20 && cols <= 65536;
  }
  /// Bytes of a screen of this shape: the copy, and a scale and two bounds per row.
  [[nodiscard]] static constexpr std::uint64_t bytes(std::size_t rows, std::size_t cols) noexcept {
    return packed_bytes(rows, cols, packed_bits::four) + 3 * sizeof(float) * rows;
  }
  /// Copies `exact`, which must be dense and outlive the screen. Parallel.
  static head_screen make(const linear& exact, std::optional<int> memory_node,
                          const kernel_table& kernels);

  [[nodiscard]] const linear& copy() const noexcept { return copy_; }
  [[nodiscard]] std::size_t rows() const noexcept { return copy_.rows(); }
  /// Bytes of the copy and its bounds.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return copy_.weight_bytes() + 8 * weight_errors_.size();
  }
  /// [rows] Upper bounds of |w - v| (and of what rounds in w.x, over |x|), and of |v|.
  [[nodiscard]] std::span<const float> weight_errors() const noexcept { return weight_errors_; }
  [[nodiscard]] std::span<const float> weight_norms() const noexcept { return weight_norms_; }
  /// The largest of both kinds.
  [[nodiscard]] float largest() const noexcept { return largest_; }

private:
  linear copy_;
  std::vector<float> weight_errors_, weight_norms_;
  float largest_ = 0;
};

/// Answers queries of one step. Keeps its buffers; one owner.
class screened_head {
public:
  /// Asks for the logits of rows x [n, cols], one query each.
  ///
  /// `bounds` [n, rows] is scratch. `answers` [n]: empty where more than `most_rows` rows would
  /// have to be read, or where x is not finite: there the whole head must be computed. Inside
  /// compute_node::run it is parallel; results do not depend on threads, nor on the other rows of
  /// x.
  void answer(const linear& exact, const head_screen& screen, std::span<const float> x,
              std::span<const head_query* const> queries, std::size_t most_rows,
              std::span<float> bounds, std::span<std::optional<head_answer>> answers,
              const compute_context& on);

  /// Rows read exactly by the last call, all answers together.
  [[nodiscard]] std::size_t rows_read() const noexcept { return rows_read_; }

private:
  struct token_bounds {
    float x_norm, x_error;
  };
  void bound_all(const head_screen& screen, std::span<const float> x, std::span<float> bounds,
                 const compute_context& on);
  static double estimate_log_sum(const head_screen& screen, const token_bounds& token,
                                 const head_answer& found, std::span<const float> bounds,
                                 std::span<const screened_block> blocks);
  std::optional<head_answer> answer_one(const linear& exact, const head_screen& screen,
                                        const token_bounds& bound, const float* x,
                                        const head_query& query, std::size_t most_rows,
                                        std::span<const float> bounds,
                                        std::span<const screened_block> blocks,
                                        const compute_context& on);
  void read(const linear& exact, const float* x, const compute_context& on);

  linear_input input_;
  std::vector<token_bounds> tokens_;
  std::vector<screened_block> blocks_; ///< [n, blocks of 64 rows]
  std::vector<std::uint32_t> rows_;    ///< to be read exactly, and their logits
  std::vector<float> values_, tops_;
  std::size_t rows_read_ = 0;
};

} // namespace bitnetd::engine
