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
    const auto apply = [&](gate_activation kind, std::vector<float>& out) {
      activation_kernel(kind, on.kernels)(gate.data(), up.data(), n, out.data());
    };
    apply(gate_activation::squared_relu, relu);
    apply(gate_activation::silu, silu);
    apply(gate_activation::gelu_tanh, gelu);
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
  const auto dims = GENERATE(as<std::size_t>{}, 80, 70, 6); // of 80: all, or the first ones
  CAPTURE(dims);
  const std::size_t n_heads = 3, head_dim = 80;
  const double theta = 10000, scale = 2;
  const std::vector<std::uint32_t> positions{0, 1, 63, 64, 4095, 7};
  const auto x = random_floats(positions.size() * n_heads * head_dim, 5);
  auto turned = x;
  rope_table rope{dims, static_cast<float>(theta), static_cast<float>(scale), style};
  rope.need(positions);
  for (std::size_t i = 0; i < positions.size(); ++i)
    rope.apply(std::span{turned}.subspan(i * n_heads * head_dim, n_heads * head_dim), head_dim,
               positions[i], best_kernels());

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

TEST_CASE("a position is turned by the same bits in whatever order it was needed",
          "[engine][ops]") {
  const std::size_t n = 200, n_heads = 4, head_dim = 64;
  const auto x = random_floats(n * n_heads * head_dim, 6);
  const auto turned = [&](bool backwards) {
    auto out = x;
    rope_table rope{head_dim, 500000, 1, rope_style::half_split};
    for (std::size_t step = 0; step < n; ++step) {
      const auto position = static_cast<std::uint32_t>(backwards ? n - 1 - step : step);
      rope.need({&position, 1});
      rope.apply(std::span{out}.subspan(position * n_heads * head_dim, n_heads * head_dim),
                 head_dim, position, best_kernels());
    }
    return out;
  };
  CHECK(turned(true) == turned(false));
}
