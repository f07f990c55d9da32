// SPDX-License-Identifier: MIT
#pragma once

// What rounding the rows of a head takes (head_screen.h), written once for all instruction sets:
// lanes, order and rounding are the same, so that the copies are too. C headers and intrinsics
// only.
#include "engine/kernels/float_lanes.h"
#include "engine/kernels/kernel_functions.h"

namespace bitnetd::engine {
namespace {

/// Sums of doubles: value number c belongs to lane c % 8, the last values, fewer than eight, to
/// lane 0; lanes are added from the first to the last.
constexpr size_t double_lanes = 8, double_width = width / 2, double_parts = 8 / double_width;

struct double_sums {
  doubles part[double_parts];
};

inline double sum_of(const double_sums& sums) {
  double lane[double_lanes], sum = 0;
  for (size_t p = 0; p < double_parts; ++p)
    store(lane + p * double_width, sums.part[p]);
  for (const double one : lane)
    sum += one;
  return sum;
}

void from_half(const uint16_t* x, size_t n, float* out) noexcept {
  size_t i = 0;
  for (; i + width <= n; i += width)
    store(out + i, load_floats(x + i));
  for (; i < n; ++i)
    out[i] = to_float(x[i]);
}

row_extent extent_of_row(const float* row, size_t cols) noexcept {
  half_floats most = {};
  double_sums squares = {};
  size_t c = 0;
  for (; c + double_lanes <= cols; c += double_lanes)
    for (size_t p = 0; p < double_parts; ++p) {
      const half_floats v = load<half_floats>(row + c + p * double_width);
      const half_floats magnitude = v < 0.0f ? -v : v;
      most = magnitude > most ? magnitude : most;
      const doubles wide = __builtin_convertvector(v, doubles);
      squares.part[p] += wide * wide;
    }
  float largest = 0;
  for (size_t i = 0; i < double_width; ++i)
    largest = most[i] > largest ? most[i] : largest;
  for (; c < cols; ++c) {
    const float magnitude = row[c] < 0 ? -row[c] : row[c];
    largest = magnitude > largest ? magnitude : largest;
    const double wide = row[c];
    squares.part[0][0] += wide * wide;
  }
  return {largest, sum_of(squares)};
}

rounding_error round_to_4_bits(const float* row, size_t cols, float scale, int8_t* codes) noexcept {
  typedef int32_t half_ints __attribute__((vector_size(2 * BITNETD_FLOAT_WIDTH)));
  typedef int8_t half_codes __attribute__((vector_size(BITNETD_FLOAT_WIDTH / 2)));
  const float inverse = scale > 0 ? 1 / scale : 0;
  double_sums copy_squares = {}, error_squares = {};
  size_t c = 0;
  for (; c + double_lanes <= cols; c += double_lanes)
    for (size_t p = 0; p < double_parts; ++p) {
      const half_floats v = load<half_floats>(row + c + p * double_width);
      half_floats level = v * inverse * 0.5f + 8.0f; // rounded down, by way of positive numbers
      level = level > 0.0f ? level : half_floats{};
      level = level < 15.5f ? level : 15.5f - half_floats{};
      const half_ints code = __builtin_convertvector(level, half_ints) - 8;
      store(codes + c + p * double_width, __builtin_convertvector(code, half_codes));
      const doubles copied =
          __builtin_convertvector(2 * code + 1, doubles) * static_cast<double>(scale);
      const doubles error = __builtin_convertvector(v, doubles) - copied;
      copy_squares.part[p] += copied * copied;
      error_squares.part[p] += error * error;
    }
  for (; c < cols; ++c) {
    float level = row[c] * inverse * 0.5f + 8.0f;
    level = level > 0.0f ? level : 0.0f;
    level = level < 15.5f ? level : 15.5f;
    const int32_t code = static_cast<int32_t>(level) - 8;
    codes[c] = static_cast<int8_t>(code);
    const double copied = static_cast<double>(scale) * (2 * code + 1);
    const double error = static_cast<double>(row[c]) - copied;
    copy_squares.part[0][0] += copied * copied;
    error_squares.part[0][0] += error * error;
  }
  return {sum_of(copy_squares), sum_of(error_squares)};
}

} // namespace
} // namespace bitnetd::engine
