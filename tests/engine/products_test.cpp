// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"
#include "engine/ops.h"
#include "engine/products.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>

using namespace bitnetd::engine;
using test::random_codes;
using test::random_floats;

namespace {

node_memory packed(std::size_t rows, std::size_t cols, std::uint32_t seed) {
  node_memory out{packed_bytes(rows, cols), {}};
  pack_ternary(random_codes(rows * cols, -1, 1, seed), rows, cols, 0, {out.data(), out.size()});
  return out;
}

linear ternary(std::size_t rows, std::size_t cols, std::uint32_t seed) {
  return linear::ternary(rows, cols, packed(rows, cols, seed), random_floats(rows, seed + 1), 0);
}

linear in_blocks(std::size_t rows, std::size_t cols, std::uint32_t seed) {
  const auto n_blocks = (cols + 127) / 128;
  return linear::ternary_blocks(rows, cols, 128, packed(rows, cols, seed),
                                random_floats(n_blocks * rows, seed + 1), 0);
}

linear dense(std::size_t rows, std::size_t cols, std::uint32_t seed) {
  const auto values = random_floats(rows * cols, seed);
  node_memory out{values.size() * sizeof(float), {}};
  std::memcpy(out.data(), values.data(), out.size());
  return linear::dense_f32(rows, cols, std::move(out));
}

/// Row by row, one matrix, one thread: what every phase must agree with.
std::vector<float> alone(const linear& matrix, const std::vector<float>& x,
                         activation_quantization mode) {
  compute_node node{{}, 1};
  const auto cols = matrix.cols(), n = x.size() / cols;
  std::vector<float> y(n * matrix.rows());
  linear_input in;
  for (std::size_t i = 0; i < n; ++i) {
    in.assign(std::span{x}.subspan(i * cols, cols), 1, cols, mode);
    matrix.apply(in, std::span{y}.subspan(i * matrix.rows(), matrix.rows()),
                 {node, best_kernels()});
  }
  return y;
}

} // namespace

TEST_CASE("products of one phase are those of each matrix alone, bit for bit",
          "[engine][products]") {
  const auto mode = GENERATE(activation_quantization::none, activation_quantization::absmax);
  const auto n = GENERATE(as<std::size_t>{}, 1, 3, 130);
  const auto threads = GENERATE(as<std::size_t>{}, 1, 3);
  const std::size_t cols = 200;
  CAPTURE(n, threads);
  const auto x = random_floats(n * cols, 1);
  compute_node node{{}, threads};
  const compute_context on{node, best_kernels()};
  linear_input in;
  in.assign(x, n, cols, mode);

  SECTION("several, of different size and form") {
    const std::array matrices{ternary(300, cols, 2), in_blocks(70, cols, 4), dense(65, cols, 6)};
    std::array<std::vector<float>, 3> results;
    std::vector<product> all;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      results[i].resize(n * matrices[i].rows());
      all.push_back({&matrices[i], &in, results[i]});
    }
    node.run([&] { multiply(all, on); });
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      INFO("matrix " << i);
      CHECK(results[i] == alone(matrices[i], x, mode));
    }
  }
  SECTION("added to what is there") {
    const auto matrix = ternary(150, cols, 8);
    auto sum = random_floats(n * 150, 9);
    auto expected = sum;
    const auto y = alone(matrix, x, mode);
    for (std::size_t i = 0; i < y.size(); ++i)
      expected[i] += y[i];
    node.run([&] { multiply_add({&matrix, &in, sum}, on); });
    CHECK(sum == expected);
  }
  SECTION("gated, with an input each") {
    const auto gate = ternary(150, cols, 10), up = dense(150, cols, 12);
    const auto other = random_floats(n * cols, 14);
    linear_input other_in;
    other_in.assign(other, n, cols, mode);
    std::vector<float> result(n * 150), expected(n * 150);
    const auto g = alone(gate, x, mode), u = alone(up, other, mode);
    on.kernels.silu(g.data(), u.data(), g.size(), expected.data());
    node.run([&] {
      multiply_gated({&gate, &in, result}, {&up, &other_in, {}}, on.kernels.silu, on);
    });
    CHECK(result == expected);
  }
}

TEST_CASE("an input that is normalised while it is taken is the one normalised before",
          "[engine][products]") {
  const auto mode = GENERATE(activation_quantization::none, activation_quantization::absmax);
  const std::size_t n = 40, cols = 200;
  const auto x = random_floats(n * cols, 15), weight = random_floats(cols, 16);
  const auto matrix = ternary(64, cols, 17);
  compute_node node{{}, 2};
  const compute_context on{node, best_kernels()};
  std::vector<float> normed(n * cols), y(n * 64);
  linear_input in;
  node.run([&] {
    rms_norm(x, n, cols, weight, 1e-5f, normed, on);
    in.assign_normalised(x, n, cols, weight, 1e-5f, mode, on);
    matrix.apply(in, y, on);
  });
  CHECK(y == alone(matrix, normed, mode));
}
