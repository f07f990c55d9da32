// SPDX-License-Identifier: MIT
#include "engine/attention.h"
#include "engine/tensor_type.h"
#include "tests/engine/random_values.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace bitnetd::engine;
using test::random_floats;

namespace {

/// The keys and values of one sequence in one layer, in pages that are scattered in memory.
struct stored_sequence {
  kv_shape shape;
  std::size_t n_positions;
  std::vector<float> keys, values; ///< [n_positions, width], as given
  std::vector<node_memory> memory;
  std::vector<const std::byte*> key_blocks, value_blocks;

  stored_sequence(const kv_shape& s, std::size_t n, std::uint32_t seed)
      : shape{s}, n_positions{n}, keys{random_floats(n * s.width(), seed, 3.0f)},
        values{random_floats(n * s.width(), seed + 1)} {
    for (std::size_t page = 0; page * page_tokens < n; ++page) {
      auto& k = memory.emplace_back(shape.block_bytes(), std::nullopt);
      key_blocks.push_back(k.data());
      auto& v = memory.emplace_back(shape.block_bytes(), std::nullopt);
      value_blocks.push_back(v.data());
    }
    for (std::size_t p = 0; p < n; ++p)
      store(p);
  }

  void store(std::size_t position) {
    const auto page = position / page_tokens, width = shape.width();
    store_kv(shape, position % page_tokens, std::span{keys}.subspan(position * width, width),
             std::span{values}.subspan(position * width, width), memory[2 * page].data(),
             memory[2 * page + 1].data(), best_kernels());
  }

  /// What the cache should hold of the keys (or values) of one position.
  [[nodiscard]] std::vector<double> stored(const std::vector<float>& given,
                                           std::size_t position) const {
    std::vector<double> out;
    for (std::size_t head = 0; head < shape.n_head_kv; ++head) {
      const auto* x = given.data() + position * shape.width() + head * shape.head_dim;
      const auto scale = 127 / std::max(largest(given, position, head), 1e-5f);
      for (std::size_t d = 0; d < shape.head_dim; ++d)
        out.push_back(shape.type == kv_type::f32   ? x[d]
                      : shape.type == kv_type::f16 ? half_to_float(float_to_half(x[d]))
                                                   : std::nearbyint(x[d] * scale) * (1 / scale));
    }
    return out;
  }

  [[nodiscard]] float largest(const std::vector<float>& given, std::size_t position,
                              std::size_t head) const {
    float most = 0;
    for (std::size_t d = 0; d < shape.head_dim; ++d)
      most = std::max(most, std::abs(given[position * shape.width() + head * shape.head_dim + d]));
    return most;
  }

  [[nodiscard]] attention_rows rows(std::size_t first_row, std::size_t n_rows,
                                    std::size_t first_position) const {
    return {first_row, n_rows, first_position, key_blocks, value_blocks};
  }
};

/// What a cache holds, or was given, in double: [position][width].
struct exact_values {
  std::vector<std::vector<double>> keys, values;

  static exact_values stored(const stored_sequence& s) {
    exact_values out;
    for (std::size_t p = 0; p < s.n_positions; ++p) {
      out.keys.push_back(s.stored(s.keys, p));
      out.values.push_back(s.stored(s.values, p));
    }
    return out;
  }
};

/// Attention of one query head at `position`, in double.
std::vector<double> exact(const stored_sequence& s, const exact_values& of, const float* q,
                          std::size_t head_kv, std::size_t position, std::size_t window = 0) {
  const auto first = window != 0 && position + 1 > window ? position + 1 - window : 0;
  const auto dim = s.shape.head_dim;
  std::vector<double> scores, out(dim);
  for (std::size_t j = first; j <= position; ++j) {
    double dot = 0;
    for (std::size_t d = 0; d < dim; ++d)
      dot += static_cast<double>(q[d]) * of.keys[j][head_kv * dim + d];
    scores.push_back(dot / std::sqrt(static_cast<double>(dim)));
  }
  const auto top = *std::ranges::max_element(scores);
  double sum = 0;
  for (std::size_t j = first; j <= position; ++j) {
    const auto weight = std::exp(scores[j - first] - top);
    sum += weight;
    for (std::size_t d = 0; d < dim; ++d)
      out[d] += weight * of.values[j][head_kv * dim + d];
  }
  for (auto& v : out)
    v /= sum;
  return out;
}

std::vector<float> attend(const kv_shape& shape, std::size_t n_head,
                          const std::vector<attention_rows>& sequences, const std::vector<float>& q,
                          std::size_t threads, const kernel_table& kernels,
                          std::size_t window = 0) {
  compute_node node{{}, threads};
  attention op{shape, n_head};
  std::vector<float> out(q.size());
  node.run([&] { op.apply(sequences, q, out, {node, kernels}, window); });
  return out;
}

} // namespace

TEST_CASE("paged attention agrees with double arithmetic in every instruction set",
          "[engine][attention]") {
  const auto type = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  // One KV head per query head, groups, one KV head for more heads than are taken at once; odd and
  // even widths of a head.
  auto [n_head, n_head_kv, head_dim] = GENERATE(table<std::size_t, std::size_t, std::size_t>(
      {{2, 2, 64}, {8, 2, 100}, {20, 1, 16}, {3, 3, 7}}));
  const kv_shape shape{type, n_head_kv, head_dim};
  const auto n = GENERATE(as<std::size_t>{}, 1, 31, 33, 256, 257, 600);
  const stored_sequence sequence{shape, n, 1};
  const auto held = exact_values::stored(sequence);
  const auto n_rows = std::min<std::size_t>(n, 19);
  const auto q = random_floats(n_rows * n_head * head_dim, 3);
  for (const auto& kernels : all_kernels()) {
    if (!kernels.supported())
      continue;
    CAPTURE(kernels.name, n_head, n_head_kv, head_dim, n, static_cast<int>(type));
    const auto out = attend(shape, n_head, {sequence.rows(0, n_rows, n - n_rows)}, q, 1, kernels);
    for (std::size_t row = 0; row < n_rows; ++row)
      for (std::size_t h = 0; h < n_head; ++h) {
        const auto at = (row * n_head + h) * head_dim;
        const auto expected =
            exact(sequence, held, q.data() + at, h / (n_head / n_head_kv), n - n_rows + row);
        for (std::size_t d = 0; d < head_dim; ++d)
          REQUIRE(out[at + d] == Approx(expected[d]).margin(5e-6));
      }
  }
}

TEST_CASE("attention gives the same bits in any chunking, batch, thread count, instruction set",
          "[engine][attention]") {
  const auto type = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  const std::size_t n_head = 4, head_dim = 24, n = 700;
  const kv_shape shape{type, 2, head_dim};
  const stored_sequence sequence{shape, n, 5}, other{shape, 40, 6};
  const auto row_values = n_head * head_dim;
  const auto q = random_floats(n * row_values, 7);
  const auto whole = attend(shape, n_head, {sequence.rows(0, n, 0)}, q, 1, all_kernels().front());

  for (const auto& kernels : all_kernels()) {
    if (!kernels.supported())
      continue;
    CAPTURE(kernels.name);
    for (const std::size_t threads : {1u, 2u, 4u})
      CHECK(attend(shape, n_head, {sequence.rows(0, n, 0)}, q, threads, kernels) == whole);

    // One row alone: with four threads its parts are computed apart.
    for (const std::size_t position : {0u, 255u, 256u, 699u})
      for (const std::size_t threads : {1u, 4u}) {
        CAPTURE(position, threads);
        const auto first = q.begin() + static_cast<long>(position * row_values);
        const std::vector<float> one(first, first + static_cast<long>(row_values));
        const auto expected = whole.begin() + static_cast<long>(position * row_values);
        const auto out =
            attend(shape, n_head, {sequence.rows(0, 1, position)}, one, threads, kernels);
        CHECK(std::equal(out.begin(), out.end(), expected));
      }

    // The last 25 rows in two pieces around another sequence.
    std::vector<float> mixed(q.end() - static_cast<long>(25 * row_values), q.end());
    mixed.insert(mixed.begin() + static_cast<long>(10 * row_values), q.begin(),
                 q.begin() + static_cast<long>(3 * row_values));
    const auto out =
        attend(shape, n_head,
               {sequence.rows(0, 10, n - 25), other.rows(10, 3, 20), sequence.rows(13, 15, n - 15)},
               mixed, 2, kernels);
    CHECK(std::equal(out.begin(), out.begin() + static_cast<long>(10 * row_values),
                     whole.end() - static_cast<long>(25 * row_values)));
    CHECK(std::equal(out.end() - static_cast<long>(15 * row_values), out.end(),
                     whole.end() - static_cast<long>(15 * row_values)));
  }
}

TEST_CASE("with a window a row sees its last positions only, the same bits in any chunking",
          "[engine][attention]") {
  const auto type = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  const auto window = GENERATE(as<std::size_t>{}, 1, 31, 256, 300, 2000);
  const std::size_t n_head = 4, head_dim = 20, n = 640;
  const kv_shape shape{type, 2, head_dim};
  const stored_sequence sequence{shape, n, 5};
  const auto row_values = n_head * head_dim;
  const auto q = random_floats(n * row_values, 7);
  CAPTURE(window, static_cast<int>(type));
  const auto held = exact_values::stored(sequence);
  const auto whole =
      attend(shape, n_head, {sequence.rows(0, n, 0)}, q, 2, all_kernels().front(), window);
  for (const std::size_t row : {0u, 5u, 30u, 31u, 255u, 256u, 299u, 300u, 511u, 512u, 639u})
    for (std::size_t h = 0; h < n_head; ++h) {
      const auto at = row * row_values + h * head_dim;
      const auto expected = exact(sequence, held, q.data() + at, h / 2, row, window);
      for (std::size_t d = 0; d < head_dim; ++d)
        REQUIRE(whole[at + d] == Approx(expected[d]).margin(5e-6));
    }
  for (const auto& kernels : all_kernels()) {
    if (!kernels.supported())
      continue;
    CAPTURE(kernels.name);
    CHECK(attend(shape, n_head, {sequence.rows(0, n, 0)}, q, 4, kernels, window) == whole);
    for (const std::size_t position : {0u, 299u, 300u, 639u})
      for (const std::size_t threads : {1u, 4u}) {
        const auto first = q.begin() + static_cast<long>(position * row_values);
        const std::vector<float> one(first, first + static_cast<long>(row_values));
        const auto out =
            attend(shape, n_head, {sequence.rows(0, 1, position)}, one, threads, kernels, window);
        CHECK(std::equal(out.begin(), out.end(),
                         whole.begin() + static_cast<long>(position * row_values)));
      }
  }
}

TEST_CASE("a row never sees a later position, not even one that is not a number",
          "[engine][attention]") {
  const auto type = GENERATE(kv_type::f32, kv_type::f16, kv_type::q8);
  const std::size_t n_head = 4, head_dim = 32, n = 60;
  const kv_shape shape{type, 2, head_dim};
  stored_sequence sequence{shape, n, 8};
  const auto q = random_floats(n * n_head * head_dim, 9);
  const auto clean = attend(shape, n_head, {sequence.rows(0, n, 0)}, q, 1, best_kernels());
  const std::size_t broken = 37;
  for (std::size_t d = 0; d < shape.width(); ++d)
    sequence.keys[broken * shape.width() + d] = sequence.values[broken * shape.width() + d] =
        std::numeric_limits<float>::quiet_NaN();
  sequence.store(broken);
  const auto out = attend(shape, n_head, {sequence.rows(0, n, 0)}, q, 1, best_kernels());
  for (std::size_t i = 0; i < out.size(); ++i)
    if (i < broken * n_head * head_dim)
      REQUIRE(out[i] == clean[i]);
    else
      REQUIRE(std::isnan(out[i]));
}

TEST_CASE("attention holds out where scores are far apart", "[engine][attention]") {
  // One position wins by hundreds: its value is the result, from whichever part it comes.
  const kv_shape shape{kv_type::f32, 1, 16};
  const auto winner = GENERATE(as<std::size_t>{}, 3, 300, 511);
  stored_sequence sequence{shape, 512, 10};
  for (std::size_t p = 0; p < 512; ++p) {
    for (std::size_t d = 0; d < 16; ++d)
      sequence.keys[p * 16 + d] = p == winner ? 100.0f : -100.0f;
    sequence.store(p);
  }
  const std::vector<float> q(16, 10.0f);
  const auto out = attend(shape, 1, {sequence.rows(0, 1, 511)}, q, 1, best_kernels());
  for (std::size_t d = 0; d < 16; ++d)
    CHECK(out[d] == sequence.values[winner * 16 + d]);
}

// With codes k' and v' of 8 bits, |k - k'| <= max|k| / 254 per dimension, and |v - v'| likewise. A
// score is then off by at most e = |q|_1 max|k| / 254 / sqrt(head_dim), and a probability by a
// factor between exp(-2e) and exp(2e) with the largest e. So
//   |out - out'| <= max|v| / 254 + (exp(2e) - 1) sum_j p_j |v_j|
TEST_CASE("with keys and values of 8 bits results stay within the proven bound of the exact ones",
          "[engine][attention]") {
  auto [n_head, n_head_kv, head_dim] =
      GENERATE(table<std::size_t, std::size_t, std::size_t>({{4, 2, 128}, {2, 2, 64}, {6, 1, 20}}));
  const auto n = GENERATE(as<std::size_t>{}, 1, 40, 300);
  const kv_shape shape{kv_type::q8, n_head_kv, head_dim};
  const stored_sequence sequence{shape, n, 21};
  exact_values given, magnitudes;
  for (std::size_t p = 0; p < n; ++p) {
    const auto at = [&](const std::vector<float>& all) {
      const auto first = all.begin() + static_cast<long>(p * shape.width());
      return std::vector<double>(first, first + static_cast<long>(shape.width()));
    };
    given.keys.push_back(at(sequence.keys));
    given.values.push_back(at(sequence.values));
    magnitudes.values.push_back(given.values.back());
    for (auto& v : magnitudes.values.back())
      v = std::abs(v);
  }
  magnitudes.keys = given.keys;
  const auto q = random_floats(n_head * head_dim, 22, 0.2f);
  const auto out = attend(shape, n_head, {sequence.rows(0, 1, n - 1)}, q, 1, best_kernels());
  double largest_error = 0;
  for (std::size_t h = 0; h < n_head; ++h) {
    const auto head_kv = h / (n_head / n_head_kv);
    const auto* query = q.data() + h * head_dim;
    double most_key = 0, most_value = 0, q_sum = 0;
    for (std::size_t p = 0; p < n; ++p) {
      most_key = std::max(most_key, double{sequence.largest(sequence.keys, p, head_kv)});
      most_value = std::max(most_value, double{sequence.largest(sequence.values, p, head_kv)});
    }
    for (std::size_t d = 0; d < head_dim; ++d)
      q_sum += std::abs(double{query[d]});
    const auto e = q_sum * most_key / 254 / std::sqrt(static_cast<double>(head_dim));
    const auto wanted = exact(sequence, given, query, head_kv, n - 1);
    const auto mean = exact(sequence, magnitudes, query, head_kv, n - 1);
    for (std::size_t d = 0; d < head_dim; ++d) {
      const auto error = std::abs(wanted[d] - double{out[h * head_dim + d]});
      // 1e-5 for the floats of the kernel and of the scales.
      REQUIRE(error <= most_value / 254 + std::expm1(2 * e) * mean[d] + 1e-5);
      largest_error = std::max(largest_error, error);
    }
  }
  CHECK(largest_error > 1e-4); // the codes are there: floats and halves come closer
}

TEST_CASE("a head of zeros and one that is hardly more are kept in 8 bits", "[engine][attention]") {
  const kv_shape shape{kv_type::q8, 1, 16};
  stored_sequence sequence{shape, 1, 30};
  const auto size = GENERATE(0.0f, 1e-7f, 3e38f);
  for (std::size_t d = 0; d < 16; ++d)
    sequence.values[d] = d % 2 == 0 ? size : -size;
  sequence.store(0);
  const auto out =
      attend(shape, 1, {sequence.rows(0, 1, 0)}, random_floats(16, 31), 1, best_kernels());
  for (std::size_t d = 0; d < 16; ++d)
    CHECK(std::abs(double{out[d]} - double{sequence.values[d]}) <=
          std::max(1e-5, double{size} * (1 + 1e-6)) / 254);
}
