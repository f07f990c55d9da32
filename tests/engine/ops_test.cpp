// SPDX-License-Identifier: MIT
#include "engine/ops.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace bitnetd::engine;
using test::random_floats;

TEST_CASE("the norm takes every row by itself", "[engine][ops]") {
  const std::size_t n = 300, cols = 96;
  const auto x = random_floats(n * cols, 1);
  const auto weight = random_floats(cols, 2);
  const auto threads = GENERATE(as<std::size_t>{}, 1, 2);
  compute_node node{{}, threads};
  const compute_context on{node, best_kernels()};
  std::vector<float> out(x.size());
  node.run([&] { rms_norm(x, n, cols, weight, 1e-6f, out, on); });
  for (std::size_t i = 0; i < n; ++i) {
    double mean = 0;
    for (std::size_t c = 0; c < cols; ++c)
      mean += std::pow(x[i * cols + c], 2.0) / cols;
    for (std::size_t c = 0; c < cols; ++c)
      REQUIRE(out[i * cols + c] ==
              Approx(x[i * cols + c] / std::sqrt(mean + 1e-6) * weight[c]).epsilon(1e-6));
  }
}

TEST_CASE("gate and residual work on any length, shared among threads or not", "[engine][ops]") {
  const auto n = GENERATE(as<std::size_t>{}, 1, 1000, 100'003);
  const auto gate = random_floats(n, 3), up = random_floats(n, 4);
  compute_node node{{}, 2};
  const compute_context on{node, best_kernels()};
  std::vector<float> relu(n), silu(n), gelu(n);
  auto sum = gate;
  node.run([&] {
    gated_activation(gate_activation::squared_relu, gate, up, relu, on);
    gated_activation(gate_activation::silu, gate, up, silu, on);
    gated_activation(gate_activation::gelu_tanh, gate, up, gelu, on);
    add_in_place(sum, up, on);
  });
  for (std::size_t i = 0; i < n; ++i) {
    const double g = gate[i], u = up[i];
    REQUIRE(relu[i] == Approx(std::pow(std::max(g, 0.0), 2.0) * u).epsilon(1e-6));
    REQUIRE(silu[i] == Approx(g / (1 + std::exp(-g)) * u).epsilon(1e-6));
    REQUIRE(gelu[i] ==
            Approx(g / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * u)
                .epsilon(1e-5)
                .margin(1e-6));
    REQUIRE(sum[i] == gate[i] + up[i]);
  }
}

TEST_CASE("rotary embedding turns pairs by their angle", "[engine][ops]") {
  const auto style = GENERATE(rope_style::half_split, rope_style::interleaved);
  const auto dims = GENERATE(as<std::size_t>{}, 8, 6); // of 8: all, or all but the last two
  const std::size_t n_heads = 3, head_dim = 8;
  const double theta = 10000, scale = 2;
  const std::vector<std::uint32_t> positions{0, 1, 63, 64, 4095, 7};
  const auto x = random_floats(positions.size() * n_heads * head_dim, 5);
  auto turned = x;
  rope_table rope{dims, static_cast<float>(theta), static_cast<float>(scale), style};
  compute_node node{{}, 1};
  rope.apply(turned, n_heads, head_dim, positions, {node, best_kernels()});

  for (std::size_t row = 0; row < positions.size() * n_heads; ++row) {
    const auto at = row * head_dim;
    for (std::size_t i = 0; i < dims / 2; ++i) {
      const auto a = style == rope_style::half_split ? i : 2 * i;
      const auto b = style == rope_style::half_split ? i + dims / 2 : 2 * i + 1;
      const auto angle = positions[row / n_heads] / scale *
                         std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
      const double va = x[at + a], vb = x[at + b];
      REQUIRE(turned[at + a] == Approx(va * std::cos(angle) - vb * std::sin(angle)).margin(1e-6));
      REQUIRE(turned[at + b] == Approx(vb * std::cos(angle) + va * std::sin(angle)).margin(1e-6));
    }
    for (std::size_t d = dims; d < head_dim; ++d)
      REQUIRE(turned[at + d] == x[at + d]);
  }
}

TEST_CASE("a position is turned by the same bits in whatever batch it comes", "[engine][ops]") {
  const std::size_t n = 200, n_heads = 4, head_dim = 64;
  const auto x = random_floats(n * n_heads * head_dim, 6);
  std::vector<std::uint32_t> positions(n);
  for (std::size_t i = 0; i < n; ++i)
    positions[i] = static_cast<std::uint32_t>(i);
  compute_node node{{}, 2};
  const compute_context on{node, best_kernels()};
  auto together = x;
  rope_table rope{head_dim, 500000, 1, rope_style::half_split};
  node.run([&] { rope.apply(together, n_heads, head_dim, positions, on); });

  auto apart = x;
  rope_table fresh{head_dim, 500000, 1, rope_style::half_split};
  for (std::size_t i = n; i > 0; --i) {
    const std::span all{apart};
    const std::span where{positions};
    fresh.apply(all.subspan((i - 1) * n_heads * head_dim, n_heads * head_dim), n_heads, head_dim,
                where.subspan(i - 1, 1), on);
  }
  CHECK(apart == together);
}
