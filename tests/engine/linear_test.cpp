// SPDX-License-Identifier: MIT
#include "engine/kernels/ternary_layout.h"
#include "engine/linear.h"
#include "engine/tensor_type.h"
#include "tests/engine/packed_codes.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace bitnetd::engine;
using test::random_codes;
using test::random_floats;

namespace {

constexpr auto none = activation_quantization::none;
constexpr auto absmax = activation_quantization::absmax;

linear make_ternary(std::size_t rows, std::size_t cols, std::span<const std::int8_t> weights,
                    std::span<const float> scales) {
  node_memory packed{packed_bytes(rows, cols), {}};
  const auto zeros = pack_ternary(weights, rows, cols, 0, {packed.data(), packed.size()});
  return linear::ternary(rows, cols, std::move(packed), scales, zeros);
}

linear make_base3(std::size_t rows, std::size_t cols, std::span<const std::int8_t> weights,
                  std::span<const float> scales) {
  const auto bytes = test::in_base3(weights, rows, cols);
  node_memory packed{bytes.size(), {}};
  std::ranges::copy(bytes, packed.data());
  return linear::ternary_base3(rows, cols, std::move(packed), scales, 0);
}

template <class T> node_memory in_node_memory(const std::vector<T>& values) {
  node_memory memory{values.size() * sizeof(T), {}};
  std::memcpy(memory.data(), values.data(), memory.size());
  return memory;
}

std::vector<std::uint16_t> to_halves(const std::vector<float>& values) {
  std::vector<std::uint16_t> halves;
  for (const auto v : values)
    halves.push_back(float_to_half(v));
  return halves;
}

std::vector<float> apply(const linear& layer, const std::vector<float>& x, std::size_t n,
                         activation_quantization mode, const compute_context& on) {
  linear_input in;
  in.assign(x, n, layer.cols(), mode);
  std::vector<float> y(n * layer.rows());
  on.node.run([&] { layer.apply(in, y, on); });
  return y;
}

/// What activation quantization makes of a row, in double.
std::vector<double> quantized(std::span<const float> x) {
  float most = 1e-5f;
  for (const auto v : x)
    most = std::max(most, std::abs(v));
  const float s = 127.0f / most;
  std::vector<double> out;
  for (const auto v : x)
    out.push_back(std::nearbyint(v * s) / static_cast<double>(s));
  return out;
}

/// y[n][r] and, for the tolerance, the sum of |w * x|, in double.
struct exact_product {
  std::vector<double> y, size;
};
exact_product multiply(const std::vector<double>& w, const std::vector<float>& x, std::size_t rows,
                       std::size_t cols, std::size_t n, activation_quantization mode) {
  exact_product out;
  for (std::size_t i = 0; i < n; ++i) {
    const std::span row{x.data() + i * cols, cols};
    const auto values =
        mode == absmax ? quantized(row) : std::vector<double>(row.begin(), row.end());
    for (std::size_t r = 0; r < rows; ++r) {
      double sum = 0, size = 0;
      for (std::size_t c = 0; c < cols; ++c) {
        sum += w[r * cols + c] * values[c];
        size += std::abs(w[r * cols + c] * values[c]);
      }
      out.y.push_back(sum);
      out.size.push_back(size);
    }
  }
  return out;
}

void check_near(const std::vector<float>& y, const exact_product& exact) {
  REQUIRE(y.size() == exact.y.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    REQUIRE(std::abs(y[i] - exact.y[i]) <= 1e-6 * exact.size[i]);
}

} // namespace

TEST_CASE("linear layers of every form agree with double arithmetic", "[engine][linear]") {
  auto [rows, cols] = GENERATE(table<std::size_t, std::size_t>({{1, 1}, {70, 100}, {200, 384}}));
  const auto n = GENERATE(as<std::size_t>{}, 1, 2, 66);
  const auto mode = GENERATE(none, absmax);
  CAPTURE(rows, cols, n, mode == absmax);
  const auto codes = random_codes(rows * cols, -1, 1, 1);
  const auto scales = random_floats(rows, 2);
  const auto values = random_floats(rows * cols, 3);
  const auto halves = to_halves(values);
  const auto x = random_floats(n * cols, 4);

  std::vector<double> ternary_weights, half_weights;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    ternary_weights.push_back(codes[i] * static_cast<double>(scales[i / cols]));
    half_weights.push_back(half_to_float(halves[i]));
  }
  const std::vector<double> float_weights(values.begin(), values.end());

  for (const auto& kernels : all_kernels()) {
    if (!kernels.supported())
      continue;
    compute_node node{{}, 2};
    const compute_context on{node, kernels};
    CAPTURE(kernels.name);
    check_near(apply(make_ternary(rows, cols, codes, scales), x, n, mode, on),
               multiply(ternary_weights, x, rows, cols, n, mode));
    check_near(apply(linear::dense_f32(rows, cols, in_node_memory(values)), x, n, mode, on),
               multiply(float_weights, x, rows, cols, n, mode));
    check_near(apply(linear::dense_f16(rows, cols, in_node_memory(halves)), x, n, mode, on),
               multiply(half_weights, x, rows, cols, n, mode));
  }
}

TEST_CASE("layers with a scale per block of columns agree with double arithmetic",
          "[engine][linear]") {
  auto [rows, cols, block] = GENERATE(table<std::size_t, std::size_t, std::size_t>(
      {{1, 128, 128}, {70, 300, 128}, {200, 768, 256}, {33, 640, 256}}));
  const auto n = GENERATE(as<std::size_t>{}, 1, 3, 66);
  const auto mode = GENERATE(none, absmax);
  CAPTURE(rows, cols, block, n, mode == absmax);
  const auto n_blocks = (cols + block - 1) / block;
  const auto codes = random_codes(rows * cols, -1, 1, 1);
  const auto scales = random_floats(n_blocks * rows, 2);
  const auto x = random_floats(n * cols, 4);
  std::vector<double> weights;
  for (std::size_t i = 0; i < codes.size(); ++i)
    weights.push_back(codes[i] * static_cast<double>(scales[i % cols / block * rows + i / cols]));
  const auto make = [&] {
    node_memory packed{packed_bytes(rows, cols), {}};
    const auto zeros = pack_ternary(codes, rows, cols, 0, {packed.data(), packed.size()});
    return linear::ternary_blocks(rows, cols, block, std::move(packed), scales, zeros);
  };
  const auto layer = make();
  compute_node one{{}, 1};
  const auto reference = apply(layer, x, n, mode, {one, all_kernels().front()});
  check_near(reference, multiply(weights, x, rows, cols, n, mode));
  for (const auto& kernels : all_kernels()) {
    if (!kernels.supported())
      continue;
    CAPTURE(kernels.name);
    compute_node node{{}, 2};
    CHECK(apply(layer, x, n, mode, {node, kernels}) == reference);
    // The last row alone.
    const std::vector<float> last(x.end() - static_cast<long>(cols), x.end());
    CHECK(apply(layer, last, 1, mode, {node, kernels}) ==
          std::vector<float>(reference.end() - static_cast<long>(rows), reference.end()));
  }
  std::vector<float> row(cols);
  layer.decode_row(rows - 1, row, best_kernels());
  for (std::size_t c = 0; c < cols; ++c)
    CHECK(row[c] == static_cast<float>(weights[(rows - 1) * cols + c]));
}

TEST_CASE("a row's result is the same bits alone, in a batch, and on any number of threads",
          "[engine][linear]") {
  const std::size_t rows = 1000, cols = 640, n = 67;
  const auto codes = random_codes(rows * cols, -1, 1, 5);
  const auto scales = random_floats(1, 6);
  const auto x = random_floats(n * cols, 7);
  std::vector<linear> layers;
  layers.push_back(make_ternary(rows, cols, codes, scales));
  layers.push_back(linear::dense_f32(rows, cols, in_node_memory(random_floats(rows * cols, 8))));
  layers.push_back(
      linear::dense_f16(rows, cols, in_node_memory(to_halves(random_floats(rows * cols, 8)))));
  const auto mode = GENERATE(none, absmax);

  for (const auto& layer : layers) {
    compute_node one{{}, 1};
    const auto reference = apply(layer, x, n, mode, {one, all_kernels().front()});
    for (const auto& kernels : all_kernels()) {
      if (!kernels.supported())
        continue;
      for (const std::size_t threads : {1u, 2u, 4u}) {
        compute_node node{{}, threads};
        const compute_context on{node, kernels};
        CAPTURE(kernels.name, threads, mode == absmax);
        CHECK(apply(layer, x, n, mode, on) == reference);
        const std::vector<float> last(x.end() - static_cast<long>(cols), x.end());
        const std::vector<float> expected(reference.end() - static_cast<long>(rows),
                                          reference.end());
        CHECK(apply(layer, last, 1, mode, on) == expected);
      }
    }
  }
}

TEST_CASE("layers that share an input quantize it once", "[engine][linear]") {
  const std::size_t cols = 128;
  const auto codes = random_codes(16 * cols, -1, 1, 9);
  const std::vector<float> scale{1.0f};
  const auto layer = make_ternary(16, cols, codes, scale);
  auto x = random_floats(2 * cols, 10);
  compute_node node{{}, 1};
  const compute_context on{node, best_kernels()};

  linear_input in;
  in.assign(x, 2, cols, absmax);
  std::vector<float> first(32), second(32), third(32);
  layer.apply(in, first, on);
  const auto sum = in.sums()[1];
  std::fill(x.begin(), x.end(), 0.0f); // would show if it were quantized again
  layer.apply(in, second, on);
  CHECK(second == first);
  CHECK(in.sums()[1] == sum);
  in.assign(x, 2, cols, absmax);
  layer.apply(in, third, on);
  CHECK(third == std::vector<float>(32, 0.0f));
}

TEST_CASE("a row that is not finite gives NaN in its own results only", "[engine][linear]") {
  const std::size_t rows = 40, cols = 130;
  const auto bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  auto x = random_floats(3 * cols, 11);
  const auto clean = x;
  x[cols + 77] = bad;
  const std::vector<float> scale{0.5f};
  const auto ternary = make_ternary(rows, cols, random_codes(rows * cols, -1, 1, 12), scale);
  const auto dense = linear::dense_f32(rows, cols, in_node_memory(random_floats(rows * cols, 13)));
  compute_node node{{}, 1};
  const compute_context on{node, best_kernels()};
  for (const auto* layer : {&ternary, &dense}) {
    const auto expected = apply(*layer, clean, 3, absmax, on);
    const auto y = apply(*layer, x, 3, absmax, on);
    for (std::size_t r = 0; r < rows; ++r) {
      CHECK(y[r] == expected[r]);
      CHECK(std::isnan(y[rows + r]));
      CHECK(y[2 * rows + r] == expected[2 * rows + r]);
    }
  }
}

TEST_CASE("a layer gives back its rows and says what it costs", "[engine][linear]") {
  const std::size_t rows = 20, cols = 70;
  const auto codes = random_codes(rows * cols, -1, 1, 14);
  const auto scales = random_floats(rows, 15);
  const auto values = random_floats(rows * cols, 16);
  const auto halves = to_halves(values);
  const auto ternary = make_ternary(rows, cols, codes, scales);
  const auto f32 = linear::dense_f32(rows, cols, in_node_memory(values));
  const auto f16 = linear::dense_f16(rows, cols, in_node_memory(halves));
  std::vector<float> row(cols);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) {
      const auto i = r * cols + c;
      ternary.decode_row(r, row, best_kernels());
      REQUIRE(row[c] == static_cast<float>(codes[i]) * scales[r]);
      f32.decode_row(r, row, best_kernels());
      REQUIRE(row[c] == values[i]);
      f16.decode_row(r, row, best_kernels());
      REQUIRE(row[c] == half_to_float(halves[i]));
    }

  operation_cost cost;
  ternary.add_cost(3, cost);
  CHECK(cost.additions == 3 * rows * cols);
  CHECK(cost.multiplications == 3 * rows);
  CHECK(cost.weight_bytes == 2 * 16 * 128 / 4); // two panels of 16 rows, 128 columns, 2 bits
  CHECK(cost.zero_additions ==
        3 * static_cast<std::uint64_t>(std::count(codes.begin(), codes.end(), 0)));
  operation_cost dense;
  f16.add_cost(2, dense);
  CHECK(dense.multiplications == 2 * rows * cols);
  CHECK(dense.additions == 0);
  CHECK(dense.weight_bytes == rows * cols * 2);
}

TEST_CASE("five weights to a byte give the products of two bits each, to the bit",
          "[engine][linear]") {
  auto [rows, cols] =
      GENERATE(table<std::size_t, std::size_t>({{1, 1}, {20, 130}, {150, 640}, {96, 1290}}));
  const auto n = GENERATE(as<std::size_t>{}, 1, 3, 9, 130);
  CAPTURE(rows, cols, n);
  const auto codes = random_codes(rows * cols, -1, 1, 11);
  const auto scales = random_floats(rows, 12), x = random_floats(n * cols, 13, 3);
  const auto two_bits = make_ternary(rows, cols, codes, scales),
             base3 = make_base3(rows, cols, codes, scales);
  CHECK(base3.is_ternary());
  compute_node node{node_description{}, 2};
  const compute_context on{node, best_kernels()};
  for (const auto mode : {absmax, none})
    CHECK(apply(base3, x, n, mode, on) == apply(two_bits, x, n, mode, on));
  operation_cost cost;
  base3.add_cost(n, cost);
  CHECK(cost.weight_bytes == (rows + 15) / 16 * ((cols + 19) / 20) * 64);
  CHECK(cost.additions == rows * cols * n);
}
