// SPDX-License-Identifier: MIT
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/packed_layout.h"
#include "engine/kernels/ternary_layout.h"
#include "engine/tensor_type.h"
#include "tests/engine/packed_codes.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

using namespace bitnetd::engine;
using test::random_codes;
using test::random_floats;

namespace {

constexpr auto not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr auto infinity = std::numeric_limits<float>::infinity();

std::vector<const kernel_table*> usable_kernels() {
  std::vector<const kernel_table*> usable;
  for (const auto& table : all_kernels())
    if (table.supported())
      usable.push_back(&table);
#ifdef __x86_64__ // a CPU with GFNI and VBMI has other functions in its table
  if (usable.back()->name == "avx512_vnni") {
    static const kernel_table without{avx512_vnni_functions, "avx512_vnni without GFNI and VBMI",
                                      usable.back()->supported};
    usable.push_back(&without);
  }
#endif
  return usable;
}

/// Bits, so that NaN equals NaN and +0 differs from -0.
std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const auto v : values)
    bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

struct ternary_problem {
  std::size_t rows, cols, n_tokens;
  std::vector<std::int8_t> weights; ///< [rows, cols]
  std::vector<std::int8_t> x;       ///< [n_tokens, padded cols], zeros beyond cols
  std::vector<std::int32_t> x_sums;
  std::vector<std::byte> packed;
};

ternary_problem make_problem(std::size_t rows, std::size_t cols, std::size_t n_tokens,
                             const std::vector<std::int8_t>& weights,
                             const std::vector<std::int8_t>& x) {
  ternary_problem p{rows, cols, n_tokens, weights, {}, {}, {}};
  p.x.resize(n_tokens * padded_columns(cols) + 32, std::int8_t{-77}); // base-3 lines read past it
  std::fill_n(p.x.begin(), n_tokens * padded_columns(cols), std::int8_t{0});
  p.x_sums.resize(n_tokens);
  for (std::size_t n = 0; n < n_tokens; ++n)
    for (std::size_t c = 0; c < cols; ++c) {
      p.x[n * padded_columns(cols) + c] = x[n * cols + c];
      p.x_sums[n] += x[n * cols + c];
    }
  if (weights.empty()) // the caller packs its own
    return p;
  p.packed.resize(packed_bytes(rows, cols));
  pack_ternary(weights, rows, cols, 0, p.packed);
  return p;
}

constexpr std::int32_t untouched = 0x5a5a5a5a;

/// Sums [n_tokens, rows + 3]: the last three of each row must stay untouched.
std::vector<std::int32_t> run(const kernel_table& kernels, const ternary_problem& p) {
  std::vector<std::int32_t> acc(p.n_tokens * (p.rows + 3), untouched);
  kernels.ternary_gemm(reinterpret_cast<const std::uint8_t*>(p.packed.data()), p.rows, p.cols,
                       p.x.data(), padded_columns(p.cols), p.x_sums.data(), p.n_tokens, acc.data(),
                       p.rows + 3);
  return acc;
}

std::vector<std::int32_t> by_definition(const ternary_problem& p) {
  std::vector<std::int32_t> acc(p.n_tokens * (p.rows + 3), untouched);
  for (std::size_t n = 0; n < p.n_tokens; ++n)
    for (std::size_t r = 0; r < p.rows; ++r) {
      std::int64_t sum = 0;
      for (std::size_t c = 0; c < p.cols; ++c)
        sum += p.weights[r * p.cols + c] * p.x[n * padded_columns(p.cols) + c];
      acc[n * (p.rows + 3) + r] = static_cast<std::int32_t>(sum);
    }
  return acc;
}

} // namespace

TEST_CASE("the table begins with the scalar reference and names each set once",
          "[engine][kernels]") {
  const auto tables = all_kernels();
  CHECK(tables.front().name == "scalar");
  CHECK(tables.front().supported());
  CHECK(best_kernels().supported());
  CHECK(find_kernels("auto") == &best_kernels());
  CHECK(find_kernels("scalar") == &tables.front());
  CHECK(find_kernels("sse9") == nullptr);
  for (const auto& table : tables)
    CHECK(find_kernels(table.name) == (table.supported() ? &table : nullptr));
}

TEST_CASE("every instruction set computes ternary products as they are defined",
          "[engine][kernels]") {
  auto [rows, cols] = GENERATE(table<std::size_t, std::size_t>(
      {{1, 1}, {7, 100}, {15, 128}, {16, 130}, {17, 384}, {33, 640}, {40, 256}, {64, 2560}}));
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 2, 3, 4, 5, 7, 8, 9, 15, 67);
  const auto seed = static_cast<std::uint32_t>(rows * cols + n_tokens);
  const auto problem = make_problem(rows, cols, n_tokens, random_codes(rows * cols, -1, 1, seed),
                                    random_codes(n_tokens * cols, -128, 127, seed + 1));
  const auto expected = by_definition(problem);
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, rows, cols, n_tokens);
    CHECK(run(*kernels, problem) == expected);
  }
}

TEST_CASE("every instruction set computes the same products of base-3 weights",
          "[engine][kernels]") {
  auto [rows, cols] = GENERATE(table<std::size_t, std::size_t>({{1, 1},
                                                                {7, 100},
                                                                {15, 128},
                                                                {16, 19},
                                                                {17, 384},
                                                                {33, 640},
                                                                {40, 661},
                                                                {64, 2560},
                                                                {80, 1290}}));
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 2, 3, 5, 8, 9, 24, 67);
  const auto seed = static_cast<std::uint32_t>(rows * cols + n_tokens);
  auto problem = make_problem(rows, cols, n_tokens, random_codes(rows * cols, -1, 1, seed),
                              random_codes(n_tokens * cols, -128, 127, seed + 1));
  const auto expected = by_definition(problem);
  problem.packed = test::in_base3(problem.weights, rows, cols);
  for (const auto* kernels : usable_kernels()) {
    kernel_table base3 = *kernels;
    base3.ternary_gemm = base3.base3_gemm;
    CAPTURE(kernels->name, rows, cols, n_tokens);
    CHECK(run(base3, problem) == expected);
  }
}

TEST_CASE("every instruction set turns pairs half a head apart to the same bits",
          "[engine][kernels]") {
  const auto n_pairs = GENERATE(as<std::size_t>{}, 1, 3, 16, 35, 64);
  const std::size_t n_heads = 5, head_dim = 128;
  const auto x = random_floats(n_heads * head_dim, 1);
  const auto cos = random_floats(n_pairs, 2), sin = random_floats(n_pairs, 3);
  auto expected = x;
  for (std::size_t h = 0; h < n_heads; ++h)
    for (std::size_t i = 0; i < n_pairs; ++i) {
      auto &a = expected[h * head_dim + i], &b = expected[h * head_dim + n_pairs + i];
      const float left = a * cos[i], right = b * sin[i], up = b * cos[i], down = a * sin[i];
      a = left - right;
      b = up + down;
    }
  for (const auto* kernels : usable_kernels()) {
    auto turned = x;
    kernels->turn_halves(turned.data(), n_heads, head_dim, cos.data(), sin.data(), n_pairs);
    CAPTURE(kernels->name, n_pairs);
    CHECK(turned == expected);
  }
}

TEST_CASE("every instruction set computes products of 4 and 8 bits as they are defined",
          "[engine][kernels]") {
  const auto bits = GENERATE(packed_bits::four, packed_bits::eight);
  auto [rows, cols] = GENERATE(
      table<std::size_t, std::size_t>({{1, 1}, {7, 100}, {16, 130}, {33, 640}, {48, 2560}}));
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 2, 3, 4, 7, 8, 13);
  const int least = bits == packed_bits::four ? -8 : -127,
            most = bits == packed_bits::four ? 7 : 127;
  const auto seed = static_cast<std::uint32_t>(rows * cols + n_tokens);
  // The first row and the first token hold the extremes, for the largest sums.
  auto weights = random_codes(rows * cols, least, most, seed);
  auto x = random_codes(n_tokens * cols, -127, 127, seed + 1);
  std::fill_n(weights.begin(), cols, static_cast<std::int8_t>(least));
  std::fill_n(x.begin(), cols, std::int8_t{127});
  auto problem = make_problem(rows, cols, n_tokens, {}, x);
  problem.weights = weights;
  const auto panel = packed_bytes(16, cols, bits);
  problem.packed.resize(packed_bytes(rows, cols, bits));
  for (std::size_t r = 0; r < rows; r += 16)
    pack_panel(std::span{weights}.subspan(r * cols, std::min<std::size_t>(16, rows - r) * cols),
               cols, bits, std::span{problem.packed}.subspan(r / 16 * panel, panel));
  const auto expected = by_definition(problem);
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, rows, cols, n_tokens);
    std::vector<std::int32_t> acc(n_tokens * (rows + 3), untouched);
    (bits == packed_bits::four ? kernels->int4_gemm : kernels->int8_gemm)(
        reinterpret_cast<const std::uint8_t*>(problem.packed.data()), rows, cols, problem.x.data(),
        padded_columns(cols), problem.x_sums.data(), n_tokens, acc.data(), rows + 3);
    CHECK(acc == expected);
  }
}

TEST_CASE("ternary products are exact for the largest sums", "[engine][kernels]") {
  const auto weight = GENERATE(as<std::int8_t>{}, -1, 0, 1);
  const auto activation = GENERATE(as<std::int8_t>{}, -128, -127, 127);
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 6, 8);
  const std::size_t rows = 24, cols = 6912;
  const auto problem =
      make_problem(rows, cols, n_tokens, std::vector<std::int8_t>(rows * cols, weight),
                   std::vector<std::int8_t>(n_tokens * cols, activation));
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, weight, activation, n_tokens);
    const auto acc = run(*kernels, problem);
    for (std::size_t n = 0; n < n_tokens; ++n)
      for (std::size_t r = 0; r < rows; ++r)
        REQUIRE(acc[n * (rows + 3) + r] == weight * activation * 6912);
  }
}

TEST_CASE("ternary products stay exact in rows of a million columns", "[engine][kernels]") {
  const auto activation = GENERATE(as<std::int8_t>{}, -128, 127);
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 2);
  const std::size_t rows = 2, cols = 1'000'000;
  auto weights = std::vector<std::int8_t>(rows * cols, 1);
  std::fill(weights.begin() + cols, weights.end(), std::int8_t{-1});
  const auto problem = make_problem(rows, cols, n_tokens, weights,
                                    std::vector<std::int8_t>(n_tokens * cols, activation));
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, activation, n_tokens);
    const auto acc = run(*kernels, problem);
    CHECK(acc[0] == activation * 1'000'000);
    CHECK(acc[1] == activation * -1'000'000);
  }
}

TEST_CASE("absmax quantization rounds half to even and keeps its scale", "[engine][kernels]") {
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name);
    // max|x| = 127, so s = 1 and the values are rounded as they stand.
    const std::vector<float> x{-127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 3.49f, 126.5f, -0.0f,
                               64,   1,    2,    3,    4,     5,     6,     7,     8,      -63.5f};
    const std::vector<std::int8_t> expected{-127, 0, 2, 2, 0, -2, -2, 3, 126, 0,
                                            64,   1, 2, 3, 4, 5,  6,  7, 8,   -64};
    std::vector<std::int8_t> q(128, 99);
    const auto row = kernels->quantize_absmax(x.data(), x.size(), 128, q.data());
    CHECK(row.scale == 1.0f);
    int sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(q[i] == expected[i]);
      sum += expected[i];
    }
    CHECK(row.sum == sum);
    CHECK(std::vector<std::int8_t>(q.begin() + 20, q.end()) == std::vector<std::int8_t>(108, 0));
  }
}

TEST_CASE("absmax quantization of tiny, huge and broken rows is defined", "[engine][kernels]") {
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name);
    std::vector<std::int8_t> q(128);
    const auto quantize = [&](std::vector<float> x) {
      return kernels->quantize_absmax(x.data(), x.size(), 128, q.data());
    };
    CHECK(quantize(std::vector<float>(40, 0.0f)).scale == 127.0f / 1e-5f);
    CHECK(q == std::vector<std::int8_t>(128, 0));
    CHECK(quantize({1e-8f, -1e-8f}).scale == 127.0f / 1e-5f);
    CHECK(q[0] == 0);
    const auto huge = quantize({3e38f, -3e38f, 1.5e38f});
    CHECK(huge.scale == 127.0f / 3e38f);
    CHECK(q[0] == 127);
    CHECK(q[1] == -127);
    for (const auto bad : {not_a_number, -not_a_number, infinity, -infinity})
      for (const std::size_t at : {0u, 17u, 36u}) {
        std::vector<float> x(37, 1.0f);
        x[at] = bad;
        const auto row = quantize(x);
        CHECK(std::isnan(row.scale));
        CHECK(row.sum == 0);
        CHECK(q == std::vector<std::int8_t>(128, 0));
      }
  }
}

TEST_CASE("every instruction set quantizes to the same codes", "[engine][kernels]") {
  const auto cols = GENERATE(as<std::size_t>{}, 1, 3, 15, 16, 17, 127, 500, 2560);
  const auto scale = GENERATE(1e-30f, 1e-3f, 1.0f, 1e30f);
  const auto x = random_floats(cols, static_cast<std::uint32_t>(cols), scale);
  std::vector<std::int8_t> expected(padded_columns(cols));
  const auto row =
      all_kernels().front().quantize_absmax(x.data(), cols, expected.size(), expected.data());
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, cols, scale);
    std::vector<std::int8_t> q(expected.size(), 99);
    const auto same = kernels->quantize_absmax(x.data(), cols, q.size(), q.data());
    CHECK(q == expected);
    CHECK(same.scale == row.scale);
    CHECK(same.sum == row.sum);
  }
}

TEST_CASE("dense products are near the exact ones and bit-equal in every instruction set",
          "[engine][kernels]") {
  auto [rows, cols] = GENERATE(
      table<std::size_t, std::size_t>({{1, 1}, {3, 15}, {4, 16}, {5, 33}, {9, 640}, {6, 100}}));
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 2, 3, 4, 5, 9);
  const auto w = random_floats(rows * cols, 3);
  const auto x = random_floats(n_tokens * cols, 4);
  std::vector<std::uint16_t> half(w.size());
  for (std::size_t i = 0; i < w.size(); ++i)
    half[i] = float_to_half(w[i]);

  std::vector<float> first32, first16;
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, rows, cols, n_tokens);
    std::vector<float> y32(n_tokens * rows), y16(n_tokens * rows);
    kernels->dense_f32(w.data(), rows, cols, x.data(), cols, n_tokens, y32.data(), rows);
    kernels->dense_f16(half.data(), rows, cols, x.data(), cols, n_tokens, y16.data(), rows);
    for (std::size_t n = 0; n < n_tokens; ++n)
      for (std::size_t r = 0; r < rows; ++r) {
        double exact32 = 0, exact16 = 0, size = 0;
        for (std::size_t c = 0; c < cols; ++c) {
          const double v = x[n * cols + c];
          exact32 += w[r * cols + c] * v;
          exact16 += half_to_float(half[r * cols + c]) * v;
          size += std::abs(w[r * cols + c] * v);
        }
        REQUIRE(std::abs(y32[n * rows + r] - exact32) <= 1e-6 * size);
        REQUIRE(std::abs(y16[n * rows + r] - exact16) <= 1e-6 * size);
      }
    if (first32.empty()) {
      first32 = y32;
      first16 = y16;
    }
    CHECK(bits_of(y32) == bits_of(first32));
    CHECK(bits_of(y16) == bits_of(first16));
  }
}

TEST_CASE("ternary products with floats are near the exact ones and bit-equal everywhere",
          "[engine][kernels]") {
  auto [rows, cols] =
      GENERATE(table<std::size_t, std::size_t>({{1, 1}, {16, 128}, {17, 129}, {30, 640}, {5, 31}}));
  const auto n_tokens = GENERATE(as<std::size_t>{}, 1, 2, 3, 4, 7);
  const auto weights = random_codes(rows * cols, -1, 1, 5);
  const auto x = random_floats(n_tokens * cols, 6);
  auto scales = random_floats(rows, 7);
  std::vector<std::byte> packed(packed_bytes(rows, cols));
  pack_ternary(weights, rows, cols, 0, packed);
  std::vector<float> first;
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, rows, cols, n_tokens);
    std::vector<float> y(n_tokens * rows);
    kernels->ternary_gemm_f32(reinterpret_cast<const std::uint8_t*>(packed.data()), rows, cols,
                              x.data(), cols, n_tokens, scales.data(), y.data(), rows);
    for (std::size_t n = 0; n < n_tokens; ++n)
      for (std::size_t r = 0; r < rows; ++r) {
        double exact = 0, size = 0;
        for (std::size_t c = 0; c < cols; ++c) {
          exact += weights[r * cols + c] * static_cast<double>(x[n * cols + c]);
          size += std::abs(weights[r * cols + c] * x[n * cols + c]);
        }
        REQUIRE(std::abs(y[n * rows + r] - exact * scales[r]) <=
                2e-6 * (size + 1e-30) * std::abs(scales[r]));
      }
    if (first.empty())
      first = y;
    CHECK(bits_of(y) == bits_of(first));
  }
}

TEST_CASE("sums are scaled back to values", "[engine][kernels]") {
  const std::vector<std::int32_t> acc{100, -3, 0, 7, 2'000'000, -1, 5, 6};
  const std::vector<float> row_scales{0.5f, 2.0f, 3.0f}, x_scales{10.0f, not_a_number};
  for (const auto* kernels : usable_kernels()) {
    std::vector<float> y(6);
    kernels->rescale(acc.data(), 4, 2, 3, row_scales.data(), x_scales.data(), y.data(), 3);
    CHECK(y[0] == Approx(100 * 0.5 / 10));
    CHECK(y[1] == Approx(-3 * 2.0 / 10));
    CHECK(y[2] == 0.0f);
    CHECK(std::isnan(y[3]));
    CHECK(std::isnan(y[5]));
  }
}

TEST_CASE("the norm agrees with double arithmetic and is bit-equal everywhere",
          "[engine][kernels]") {
  const auto cols = GENERATE(as<std::size_t>{}, 1, 5, 16, 100, 2560);
  const auto scale = GENERATE(1e-4f, 1.0f, 1e25f); // squares overflow a float
  const auto x = random_floats(cols, 8, scale);
  const auto weight = random_floats(cols, 9);
  double mean = 0;
  for (const auto v : x)
    mean += static_cast<double>(v) * v / static_cast<double>(cols);
  std::vector<float> first;
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, cols, scale);
    auto out = x; // in place
    kernels->rms_norm(out.data(), cols, weight.data(), 1e-5f, out.data());
    for (std::size_t i = 0; i < cols; ++i) {
      const auto exact = x[i] / std::sqrt(mean + static_cast<double>(1e-5f)) * weight[i];
      REQUIRE(std::abs(out[i] - exact) <= 3e-7 * std::abs(exact));
    }
    if (first.empty())
      first = out;
    CHECK(bits_of(out) == bits_of(first));
  }
}

TEST_CASE("bounds of logits are those of their definition and bit-equal everywhere",
          "[engine][kernels][head]") {
  const auto n = GENERATE(as<std::size_t>{}, 1, 3, 15, 16, 17, 64);
  const auto logits = random_floats(n, 21);
  auto errors = random_floats(n, 22), norms = random_floats(n, 23);
  for (auto* all : {&errors, &norms})
    std::ranges::transform(*all, all->begin(), [](float v) { return std::abs(v); });
  constexpr float x_norm = 3.5f, x_error = 0.25f;
  const auto max = *std::ranges::max_element(logits);
  double sum = 0;
  std::vector<float> expected(n);
  for (std::size_t i = 0; i < n; ++i) {
    sum += std::exp(double{logits[i]} - double{max});
    expected[i] = logits[i] + (errors[i] * x_norm + norms[i] * x_error);
  }
  std::vector<std::uint32_t> sums;
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, n);
    auto bounds = logits;
    const auto block =
        kernels->screen_block(bounds.data(), n, errors.data(), norms.data(), x_norm, x_error);
    CHECK(bits_of(bounds) == bits_of(expected));
    CHECK(block.max == max);
    CHECK(block.top == *std::ranges::max_element(expected));
    CHECK(double{block.sum} == Approx(sum).epsilon(1e-6));
    sums.push_back(std::bit_cast<std::uint32_t>(block.sum));
  }
  CHECK(std::ranges::count(sums, sums.front()) == static_cast<std::ptrdiff_t>(sums.size()));
}

TEST_CASE("gated activations agree with double arithmetic and are bit-equal everywhere",
          "[engine][kernels]") {
  const auto n = GENERATE(as<std::size_t>{}, 1, 7, 16, 33, 4000);
  auto gate = random_floats(n, 10, 20.0f);
  const auto up = random_floats(n, 11);
  std::vector<float> first_relu, first_silu, first_gelu;
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, n);
    std::vector<float> relu(n), silu(n), gelu(n);
    kernels->squared_relu(gate.data(), up.data(), n, relu.data());
    kernels->silu(gate.data(), up.data(), n, silu.data());
    kernels->gelu_tanh(gate.data(), up.data(), n, gelu.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double g = gate[i], u = up[i];
      const double exact_relu = g > 0 ? g * g * u : 0, exact_silu = g / (1 + std::exp(-g)) * u;
      REQUIRE(std::abs(relu[i] - exact_relu) <= 2e-7 * std::abs(exact_relu));
      REQUIRE(std::abs(silu[i] - exact_silu) <= 6e-7 * std::abs(exact_silu) + 1e-37);
      const double inner = std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
      const double exact_gelu = g / 2 * (1 + std::tanh(inner)) * u;
      REQUIRE(std::abs(gelu[i] - exact_gelu) <= 1e-6 * std::abs(g * u));
    }
    if (first_relu.empty()) {
      first_relu = relu;
      first_silu = silu;
      first_gelu = gelu;
    }
    CHECK(bits_of(gelu) == bits_of(first_gelu));
    CHECK(bits_of(relu) == bits_of(first_relu));
    CHECK(bits_of(silu) == bits_of(first_silu));
  }
}

TEST_CASE("gated activations keep what is not a number and survive the ends of the range",
          "[engine][kernels]") {
  const std::vector<float> gate{not_a_number, 1000.0f, -1000.0f, 0.0f, -88.5f};
  const std::vector<float> up(gate.size(), 1.0f);
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name);
    std::vector<float> relu(gate.size()), silu(gate.size()), gelu(gate.size());
    kernels->squared_relu(gate.data(), up.data(), gate.size(), relu.data());
    kernels->silu(gate.data(), up.data(), gate.size(), silu.data());
    kernels->gelu_tanh(gate.data(), up.data(), gate.size(), gelu.data());
    CHECK(std::isnan(gelu[0]));
    CHECK(gelu[1] == 1000.0f);
    CHECK(std::abs(gelu[2]) < 1e-30f);
    CHECK(gelu[3] == 0.0f);
    CHECK(std::isnan(relu[0]));
    CHECK(std::isnan(silu[0]));
    CHECK(relu[1] == 1e6f);
    CHECK(silu[1] == 1000.0f);
    CHECK(relu[2] == 0.0f);
    CHECK(std::abs(silu[2]) < 1e-30f);
    CHECK(silu[3] == 0.0f);
    CHECK(std::abs(silu[4]) < 1e-30f);
  }
}

TEST_CASE("halves are rounded to nearest even by every instruction set", "[engine][kernels]") {
  // Every half, the middle between it and the next, and just beside the middle.
  std::vector<float> x;
  for (std::uint32_t h = 0; h < 0x7c00; ++h) {
    const auto here = half_to_float(static_cast<std::uint16_t>(h));
    const auto next = h + 1 < 0x7c00 ? half_to_float(static_cast<std::uint16_t>(h + 1)) : 65536.0f;
    const auto middle = here + (next - here) / 2;
    for (const auto v :
         {here, middle, std::nextafter(middle, 0.0f), std::nextafter(middle, infinity)})
      x.insert(x.end(), {v, -v});
  }
  x.insert(x.end(), {1e6f, -1e6f, infinity, -infinity, 1e-30f});
  std::vector<std::uint16_t> expected;
  for (std::uint32_t h = 0; h < 0x7c00; ++h) {
    const auto even = static_cast<std::uint16_t>(h % 2 == 0 ? h : h + 1);
    const auto low = static_cast<std::uint16_t>(h), high = static_cast<std::uint16_t>(h + 1);
    for (const auto v : {low, even, low, high})
      expected.insert(expected.end(), {v, static_cast<std::uint16_t>(v | 0x8000)});
  }
  expected.insert(expected.end(), {0x7c00, 0xfc00, 0x7c00, 0xfc00, 0});
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name);
    std::vector<std::uint16_t> halves(x.size());
    kernels->to_half(x.data(), x.size(), halves.data());
    CHECK(halves == expected);
    kernels->to_half(&not_a_number, 1, halves.data());
    CHECK(std::isnan(half_to_float(halves[0])));
  }
}

TEST_CASE("every half becomes the float of its value in every instruction set",
          "[engine][kernels]") {
  std::vector<std::uint16_t> halves;
  for (std::uint32_t h = 0; h < 0x10000; ++h)
    if ((h & 0x7c00) != 0x7c00)
      halves.push_back(static_cast<std::uint16_t>(h));
  halves.resize(halves.size() - 3); // the last ones fill no vector
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name);
    std::vector<float> values(halves.size());
    kernels->from_half(halves.data(), halves.size(), values.data());
    CHECK(std::equal(values.begin(), values.end(), halves.begin(),
                     [](float value, std::uint16_t half) {
                       return std::bit_cast<std::uint32_t>(value) ==
                              std::bit_cast<std::uint32_t>(half_to_float(half));
                     }));
  }
}

TEST_CASE("rows are rounded to 4 bits by their definition in every instruction set",
          "[engine][kernels]") {
  const auto cols = GENERATE(as<std::size_t>{}, 1, 7, 8, 29, 512, 2563);
  const auto scale = GENERATE(0.0f, 0.3f, 1e-30f);
  auto row = random_floats(cols, 5);
  row[cols / 2] = -6.5f;
  // Value c in lane c % 8, what is left over in lane 0.
  double squares[8] = {}, copied[8] = {}, errors[8] = {};
  std::vector<std::int8_t> expected(cols);
  for (std::size_t c = 0; c < cols; ++c) {
    const auto lane = c < cols / 8 * 8 ? c % 8 : 0;
    const float level = row[c] * (scale > 0 ? 1 / scale : 0) * 0.5f + 8;
    const int code = static_cast<int>(std::floor(std::clamp(level, 0.0f, 15.0f))) - 8;
    expected[c] = static_cast<std::int8_t>(code);
    const double value = row[c], copy = double{scale} * (2 * code + 1);
    squares[lane] += value * value;
    copied[lane] += copy * copy;
    errors[lane] += (value - copy) * (value - copy);
  }
  const auto total = [](const double* lanes) { return std::accumulate(lanes, lanes + 8, 0.0); };
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name, cols, scale);
    const auto extent = kernels->extent_of_row(row.data(), cols);
    CHECK(extent.largest == 6.5f);
    CHECK(extent.squares == total(squares));
    std::vector<std::int8_t> codes(cols);
    const auto error = kernels->round_to_4_bits(row.data(), cols, scale, codes.data());
    CHECK(codes == expected);
    CHECK(error.copy_squares == total(copied));
    CHECK(error.error_squares == total(errors));
  }
}

TEST_CASE("halves of any bits are multiplied as their values", "[engine][kernels]") {
  // A one-column matrix times 1 gives the values themselves.
  std::vector<std::uint16_t> halves;
  for (std::uint32_t h = 0; h < 0x10000; ++h)
    halves.push_back(static_cast<std::uint16_t>(h));
  const float one = 1;
  for (const auto* kernels : usable_kernels()) {
    CAPTURE(kernels->name);
    std::vector<float> y(halves.size());
    kernels->dense_f16(halves.data(), halves.size(), 1, &one, 1, 1, y.data(), halves.size());
    for (std::size_t h = 0; h < halves.size(); ++h) {
      const auto value = half_to_float(halves[h]);
      if (std::isnan(value))
        REQUIRE(std::isnan(y[h]));
      else
        REQUIRE(y[h] == value);
    }
  }
}
