// SPDX-License-Identifier: MIT
#include "engine/head_screen.h"

#include "engine/parallel.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

namespace bitnetd::engine {

namespace {

constexpr std::size_t block_rows = 64;

/// Sums of squares below are taken in double: this covers their rounding and that of the root, and
/// the step to float.
constexpr double upward = 1 + 1e-6;

/// Half the step of the 16-level uniform quantizer with the least mean square error for values
/// spread normally with deviation 1 (Max 1960, table II).
constexpr float best_half_step = 0.3352f / 2;

/// The scale of a row: what one unit of its codes (4 bits: of 2 c + 1) stands for.
float scale_of(const row_extent& extent, std::size_t cols, packed_bits bits) {
  if (bits == packed_bits::eight)
    return extent.largest / 127;
  const auto deviation = static_cast<float>(std::sqrt(extent.squares / static_cast<double>(cols)));
  return std::min(extent.largest / 15, best_half_step * deviation);
}

void round_to_8_bits(std::span<const float> row, float scale, std::int8_t* codes) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  for (std::size_t c = 0; c < row.size(); ++c) // half up
    codes[c] = static_cast<std::int8_t>(
        static_cast<int>(std::clamp(row[c] * inverse + 128.5f, 1.0f, 255.5f)) - 128);
}

/// Rounds every row; `seen(row index, extent, error)` is told of each; the error of 4 bits only.
template <class Seen>
linear round_all(const linear& dense, packed_bits bits, std::optional<int> memory_node,
                 const kernel_table& kernels, const Seen& seen) {
  const auto rows = dense.rows(), cols = dense.cols();
  const auto panel = packed_bytes(ternary_panel_rows, cols, bits);
  node_memory panels{packed_bytes(rows, cols, bits), memory_node};
  std::vector<float> scales(rows);
  tbb::parallel_for(std::size_t{0}, padded_rows(rows) / ternary_panel_rows, [&](std::size_t p) {
    const auto first = p * ternary_panel_rows;
    const auto n = std::min(ternary_panel_rows, rows - first);
    std::vector<float> values(cols);
    std::vector<std::int8_t> codes(n * cols);
    for (std::size_t i = 0; i < n; ++i) {
      dense.decode_row(first + i, values, kernels);
      const auto extent = kernels.extent_of_row(values.data(), cols);
      const auto scale = scales[first + i] = scale_of(extent, cols, bits);
      if (bits == packed_bits::four)
        seen(first + i, extent,
             kernels.round_to_4_bits(values.data(), cols, scale, codes.data() + i * cols));
      else
        round_to_8_bits(values, scale, codes.data() + i * cols);
    }
    pack_panel(codes, cols, bits, {panels.data() + p * panel, panel});
  });
  return linear::rounded(rows, cols, bits, std::move(panels), std::move(scales));
}

} // namespace

linear round_rows(const linear& dense, packed_bits bits, std::optional<int> memory_node,
                  const kernel_table& kernels) {
  return round_all(dense, bits, memory_node, kernels, [](auto&&...) {});
}

head_screen head_screen::make(const linear& exact, std::optional<int> memory_node,
                              const kernel_table& kernels) {
  assert(exact.is_dense());
  head_screen out;
  out.weight_errors_.resize(exact.rows());
  out.weight_norms_.resize(exact.rows());
  // The exact sum: 16 lanes add cols / 16 products each, a tree adds the lanes; every rounding is
  // relative to at most |w| |x|. Twice that, for the higher orders.
  const double rounding = 2 * (static_cast<double>(exact.cols()) / 16 + 8) * 0x1p-24;
  const auto note = [&](std::size_t row, const row_extent& extent, const rounding_error& error) {
    out.weight_errors_[row] = static_cast<float>(
        (std::sqrt(error.error_squares) + rounding * std::sqrt(extent.squares)) * upward);
    out.weight_norms_[row] = static_cast<float>(std::sqrt(error.copy_squares) * upward);
  };
  out.copy_ = round_all(exact, packed_bits::four, memory_node, kernels, note);
  for (std::size_t row = 0; row < exact.rows(); ++row)
    out.largest_ = std::max({out.largest_, out.weight_errors_[row], out.weight_norms_[row]});
  return out;
}

/// Approximate logits of all rows become upper bounds of the exact ones.
void screened_head::bound_all(const head_screen& screen, std::span<const float> x,
                              std::span<float> bounds, const compute_context& on) {
  const auto n = tokens_.size(), rows = screen.rows(), cols = screen.copy().cols();
  input_.assign(x, n, cols, activation_quantization::absmax);
  input_.quantize(on);
  for (std::size_t t = 0; t < n; ++t) {
    double squares = 0, error_squares = 0;
    const double back = 1 / double{input_.scales()[t]};
    for (std::size_t c = 0; c < cols; ++c) {
      const double value = x[t * cols + c];
      const double error = value - input_.codes()[t * input_.code_stride() + c] * back;
      squares += value * value;
      error_squares += error * error;
    }
    const double norm = std::sqrt(squares) * upward, error = std::sqrt(error_squares) * upward;
    // The approximation itself is rounded a few times, as is the bound: relative to |v| |z|.
    tokens_[t] = {static_cast<float>(norm * upward),
                  static_cast<float>((error + 0x1p-20 * (norm + error)) * upward)};
  }
  const auto n_blocks = (rows + block_rows - 1) / block_rows;
  blocks_.resize(std::max(blocks_.size(), n * n_blocks));
  const auto block_ns = block_rows * cols * std::max<std::size_t>(n, 10) / 200;
  for_runs(on.node, n_blocks, block_ns, [&](std::size_t from, std::size_t to) {
    for (auto block = from; block < to; ++block) {
      const auto row = block * block_rows, size = std::min(block_rows, rows - row);
      for (std::size_t t = 0; t < n; t += max_part_tokens)
        screen.copy().apply_part(input_, t, std::min(max_part_tokens, n - t), row, row + size,
                                 bounds.data() + t * rows + row, rows, on.kernels);
      for (std::size_t t = 0; t < n; ++t)
        blocks_[t * n_blocks + block] = on.kernels.screen_block(
            bounds.data() + t * rows + row, size, screen.weight_errors().data() + row,
            screen.weight_norms().data() + row, tokens_[t].x_norm, tokens_[t].x_error);
    }
  });
}

/// Exact logits of rows_ to values_.
void screened_head::read(const linear& exact, const float* x, const compute_context& on) {
  values_.resize(rows_.size());
  for_blocks(on.node, rows_.size(), 16, exact.cols() / 4, [&](std::size_t from, std::size_t to) {
    exact.apply_rows(std::span{rows_}.subspan(from, to - from), x, values_.data() + from,
                     on.kernels);
  });
  rows_read_ += rows_.size();
}

/// The sum over all approximations, with the exact logits in the place of those that were read.
double screened_head::estimate_log_sum(const head_screen& screen, const token_bounds& token,
                                       const head_answer& found, std::span<const float> bounds,
                                       std::span<const screened_block> blocks) {
  double largest = blocks[0].max;
  for (const auto& block : blocks)
    largest = std::max(largest, double{block.max});
  for (const auto& [row, logit] : found.logits)
    largest = std::max(largest, double{logit});
  double sum = 0, read = 0, read_approximate = 0;
  for (const auto& block : blocks)
    sum += double{block.sum} * std::exp(double{block.max} - largest);
  for (const auto& [row, logit] : found.logits) {
    const float approximate = bounds[row] - (screen.weight_errors()[row] * token.x_norm +
                                             screen.weight_norms()[row] * token.x_error);
    read += std::exp(double{logit} - largest);
    read_approximate += std::exp(double{approximate} - largest);
  }
  return largest + std::log(read + std::max(sum - read_approximate, 0.0));
}

std::optional<head_answer> screened_head::answer_one(const linear& exact, const head_screen& screen,
                                                     const token_bounds& bound, const float* x,
                                                     const head_query& query, std::size_t most_rows,
                                                     std::span<const float> bounds,
                                                     std::span<const screened_block> blocks,
                                                     const compute_context& on) {
  head_answer out;
  const auto is_always = [&](std::uint32_t row) {
    return std::binary_search(query.always.begin(), query.always.end(), row);
  };
  /// Rows with a bound in [low, high) that are not read anyway; blocks without one are not looked
  /// at.
  const auto collect = [&](float low, float high) {
    rows_.clear();
    for (std::size_t b = 0; b < blocks.size(); ++b)
      if (blocks[b].top >= low)
        for (auto r = b * block_rows; r < std::min(bounds.size(), (b + 1) * block_rows); ++r)
          if (bounds[r] >= low && bounds[r] < high && !is_always(static_cast<std::uint32_t>(r)))
            rows_.push_back(static_cast<std::uint32_t>(r));
  };
  const auto keep = [&] {
    for (std::size_t i = 0; i < rows_.size(); ++i)
      out.logits.emplace_back(rows_[i], values_[i]);
  };

  // First the rows that look best: as many blocks as rows are wanted have at least that many.
  const auto n_first = std::min(blocks.size(), query.best + query.always.size() + 7);
  tops_.clear();
  for (const auto& block : blocks)
    tops_.push_back(block.top);
  std::nth_element(tops_.begin(), tops_.begin() + static_cast<std::ptrdiff_t>(n_first - 1),
                   tops_.end(), std::greater<>{});
  const float first_bound = tops_[n_first - 1];
  collect(first_bound, std::numeric_limits<float>::infinity());
  if (rows_.size() > most_rows)
    return {};
  read(exact, x, on);
  keep();

  // What they give decides who else can matter: rows whose bound reaches the least logit wanted.
  auto least = -std::numeric_limits<float>::infinity();
  if (values_.size() >= query.best) {
    std::nth_element(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(query.best - 1),
                     values_.end(), std::greater<>{});
    least = values_[query.best - 1];
    const float largest = *std::max_element(values_.begin(), values_.end());
    least = std::min(least, largest - query.within - 1e-6f * std::abs(largest)); // rounds
  }
  collect(least, first_bound);
  if (rows_.size() > most_rows)
    return {};
  read(exact, x, on);
  keep();

  rows_.clear();
  for (const auto row : query.always)
    if (row < bounds.size()) // a bias for no token is ignored
      rows_.push_back(row);
  read(exact, x, on);
  keep();
  std::sort(out.logits.begin(), out.logits.end());

  out.log_sum_estimate = estimate_log_sum(screen, bound, out, bounds, blocks);
  return out;
}

void screened_head::answer(const linear& exact, const head_screen& screen, std::span<const float> x,
                           std::span<const head_query* const> queries, std::size_t most_rows,
                           std::span<float> bounds, std::span<std::optional<head_answer>> answers,
                           const compute_context& on) {
  const auto n = queries.size(), rows = screen.rows(), cols = exact.cols();
  assert(x.size() == n * cols && bounds.size() == n * rows && answers.size() == n);
  tokens_.resize(n);
  rows_read_ = 0;
  bound_all(screen, x, bounds, on);
  const auto n_blocks = (rows + block_rows - 1) / block_rows;
  for (std::size_t t = 0; t < n; ++t) {
    answers[t].reset();
    // Bounds near the limits of float, or an input that is not finite, prove nothing.
    const double farthest =
        double{screen.largest()} * (double{tokens_[t].x_norm} + double{tokens_[t].x_error});
    if (farthest < 1e37)
      answers[t] = answer_one(exact, screen, tokens_[t], x.data() + t * cols, *queries[t],
                              most_rows, bounds.subspan(t * rows, rows),
                              std::span{blocks_}.subspan(t * n_blocks, n_blocks), on);
  }
}

} // namespace bitnetd::engine
