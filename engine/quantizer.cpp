// SPDX-License-Identifier: MIT
#include "engine/quantizer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numeric>

namespace bitnetd::engine {

namespace {

/// Sums run in double: a float sum over millions of weights loses digits. Eight of them side by
/// side, in a fixed order, because one alone would wait for itself.
double mean_magnitude(std::span<const float> w) noexcept {
  std::array<double, 8> sums{};
  std::size_t j = 0;
  for (; j + sums.size() <= w.size(); j += sums.size())
    for (std::size_t lane = 0; lane < sums.size(); ++lane)
      sums[lane] += double{std::fabs(w[j + lane])};
  for (; j < w.size(); ++j)
    sums[0] += double{std::fabs(w[j])};
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(w.size());
}

float absmean(std::span<const float> w, std::int8_t* t) {
  const float scale = std::max(static_cast<float>(mean_magnitude(w)), 1e-5f);
  for (std::size_t j = 0; j < w.size(); ++j) {
    // Rounding half to even and clamping leave 0 up to one half, the tie included, else the sign.
    const float ratio = w[j] / scale;
    t[j] = static_cast<std::int8_t>((ratio > 0.5f) - (ratio < -0.5f));
  }
  return scale;
}

float twn(std::span<const float> w, std::int8_t* t) {
  const auto threshold = static_cast<float>(0.7 * mean_magnitude(w));
  double kept_sum = 0;
  std::size_t kept = 0;
  for (std::size_t j = 0; j < w.size(); ++j) {
    const bool keep = std::fabs(w[j]) > threshold;
    t[j] = static_cast<std::int8_t>(keep ? (w[j] > 0 ? 1 : -1) : 0);
    kept += keep;
    kept_sum += keep ? std::fabs(w[j]) : 0.0;
  }
  return kept == 0 ? 0.0f : static_cast<float>(kept_sum / static_cast<double>(kept));
}

unsigned code(std::int8_t t) noexcept { return static_cast<unsigned>(t + 1); }

void put_half(std::byte* at, float scale) noexcept {
  const auto half = float_to_half(scale);
  std::memcpy(at, &half, sizeof half);
}

void encode_i2s(std::span<const std::int8_t> t, float scale, std::byte* out) noexcept {
  for (std::size_t group = 0; group < t.size(); group += 128)
    for (std::size_t j = 0; j < 32; ++j)
      *out++ = static_cast<std::byte>((code(t[group + j]) << 6) | (code(t[group + j + 32]) << 4) |
                                      (code(t[group + j + 64]) << 2) | code(t[group + j + 96]));
  std::memcpy(out, &scale, sizeof scale); // and 28 bytes of zeros
}

void encode_tq2_block(const std::int8_t* t, float scale, std::byte* out) noexcept {
  for (std::size_t half = 0; half < 2; ++half)
    for (std::size_t m = 0; m < 32; ++m) {
      const std::int8_t* at = t + 128 * half + m;
      *out++ = static_cast<std::byte>(code(at[0]) | (code(at[32]) << 2) | (code(at[64]) << 4) |
                                      (code(at[96]) << 6));
    }
  put_half(out, scale);
}

/// `width` bytes of n_digits base-3 digits each: element width * n + m is digit n of byte m.
std::byte* encode_base3(const std::int8_t* t, std::size_t width, std::size_t n_digits,
                        std::byte* out) noexcept {
  for (std::size_t m = 0; m < width; ++m) {
    unsigned value = 0;
    for (std::size_t n = 0; n < 5; ++n)
      value = 3 * value + (n < n_digits ? code(t[width * n + m]) : 0);
    *out++ = static_cast<std::byte>((value * 256 + 242) / 243); // ceil(256 v / 243)
  }
  return out;
}

void encode_tq1_block(const std::int8_t* t, float scale, std::byte* out) noexcept {
  out = encode_base3(t, 32, 5, out);
  out = encode_base3(t + 160, 16, 5, out);
  out = encode_base3(t + 240, 4, 4, out);
  put_half(out, scale);
}

void encode_iq2_block(const std::int8_t* t, std::byte* out) noexcept {
  for (std::size_t j = 0; j < 16; ++j)
    *out++ = static_cast<std::byte>(code(t[j]) | (code(t[16 + j]) << 2) | (code(t[32 + j]) << 4) |
                                    (code(t[48 + j]) << 6));
}

/// Up to five codes, `stride` apart, the first being the least significant digit.
std::byte encode_base3_reversed(const std::int8_t* t, std::size_t n_digits,
                                std::size_t stride) noexcept {
  unsigned value = 0;
  for (std::size_t n = n_digits; n-- > 0;)
    value = 3 * value + code(t[n * stride]);
  return static_cast<std::byte>((value * 256 + 242) / 243);
}

void encode_iq1_block(const std::int8_t* t, std::byte* out) noexcept {
  for (std::size_t group = 0; group < 4; ++group)
    for (std::size_t b = 0; b < 3; ++b)
      *out++ = encode_base3_reversed(t + 16 * group + 5 * b, 5, 1);
  *out = encode_base3_reversed(t + 15, 4, 16);
}

void encode_iq_rows(tensor_type type, std::span<const std::int8_t> t, std::size_t cols, float scale,
                    std::byte* out) noexcept {
  const auto& layout = info(type);
  const auto encode_block = type == tensor_type::iq1_bn ? encode_iq1_block : encode_iq2_block;
  for (std::size_t row = 0; row < t.size(); row += cols) {
    if (type == tensor_type::iq1_bn)
      put_half(out, scale);
    else
      std::memcpy(out, &scale, sizeof scale);
    out += layout.row_bytes;
    for (std::size_t c = 0; c < cols; c += layout.block_elements, out += layout.block_bytes)
      encode_block(t.data() + row + c, out);
  }
}

} // namespace

ternary_matrix ternarise(std::span<const float> w, std::size_t rows, std::size_t cols,
                         ternary_threshold how) {
  assert(w.size() == rows * cols && !w.empty());
  ternary_matrix out{std::vector<std::int8_t>(w.size()), std::vector<float>(rows)};
  if (how == ternary_threshold::twn_row)
    for (std::size_t r = 0; r < rows; ++r)
      out.row_scales[r] = twn(w.subspan(r * cols, cols), out.t.data() + r * cols);
  else
    std::fill(out.row_scales.begin(), out.row_scales.end(),
              how == ternary_threshold::absmean ? absmean(w, out.t.data()) : twn(w, out.t.data()));
  return out;
}

std::vector<std::byte> encode_ternary(tensor_type type, std::span<const std::int8_t> t,
                                      std::size_t rows, std::size_t cols, float scale) {
  const auto bytes = tensor_bytes(type, rows, cols);
  assert(info(type).ternary && bytes && t.size() == rows * cols);
  assert(!info(type).has_tensor_scale() || type == tensor_type::i2_s); // the others are only read
  std::vector<std::byte> out(*bytes);
  if (type == tensor_type::i2_s) {
    encode_i2s(t, scale, out.data());
    return out;
  }
  if (type == tensor_type::iq1_bn || type == tensor_type::iq2_bn) {
    encode_iq_rows(type, t, cols, scale, out.data());
    return out;
  }
  const auto& layout = info(type);
  const auto encode_block = type == tensor_type::tq1_0 ? encode_tq1_block : encode_tq2_block;
  for (std::size_t b = 0; b < t.size() / layout.block_elements; ++b) {
    const std::int8_t* block = t.data() + b * layout.block_elements;
    const bool zeros = std::all_of(block, block + layout.block_elements,
                                   [](std::int8_t value) { return value == 0; });
    encode_block(block, zeros ? 0.0f : scale, out.data() + b * layout.block_bytes);
  }
  return out;
}

std::optional<float> dense_is_ternary(std::span<const float> values) noexcept {
  float a = 0;
  for (const float value : values) {
    const float magnitude = std::fabs(value);
    if (magnitude == 0)
      continue;
    if (!std::isfinite(magnitude) || (a != 0 && magnitude != a))
      return std::nullopt;
    a = magnitude;
  }
  return a == 0 ? 1.0f : a;
}

} // namespace bitnetd::engine
