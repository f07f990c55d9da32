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

  [[nodiscard]] float stored(float x) const {
    return shape.type == kv_type::f32 ? x : half_to_float(float_to_half(x));
  }

  [[nodiscard]] attention_rows rows(std::size_t first_row, std::size_t n_rows,
                                    std::size_t first_position) const {
    return {first_row, n_rows, first_position, key_blocks, value_blocks};
  }
};

/// Attention of one query head at `position`, in double.
std::vector<double> exact(const stored_sequence& s, const float* q, std::size_t head_kv,
                          std::size_t position, std::size_t window = 0) {
  const auto first = window != 0 && position + 1 > window ? position + 1 - window : 0;
  const auto dim = s.shape.head_dim, width = s.shape.width();
  std::vector<double> scores, out(dim);
  for (std::size_t j = first; j <= position; ++j) {
    double dot = 0;
    for (std::size_t d = 0; d < dim; ++d)
      dot += static_cast<double>(q[d]) * s.stored(s.keys[j * width + head_kv * dim + d]);
    scores.push_back(dot / std::sqrt(static_cast<double>(dim)));
  }
  const auto top = *std::ranges::max_element(scores);
  double sum = 0;
  for (std::size_t j = first; j <= position; ++j) {
    const auto weight = std::exp(scores[j - first] - top);
    sum += weight;
    for (std::size_t d = 0; d < dim; ++d)
      out[d] += weight * s.stored(s.values[j * width + head_kv * dim + d]);
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
  const auto type = GENERATE(kv_type::f32, kv_type::f16);
  // One KV head per query head, groups, one KV head for more heads than are taken at once; odd and
  // even widths of a head.
  auto [n_head, n_head_kv, head_dim] = GENERATE(table<std::size_t, std::size_t, std::size_t>(
      {{2, 2, 64}, {8, 2, 100}, {20, 1, 16}, {3, 3, 7}}));
  const kv_shape shape{type, n_head_kv, head_dim};
  const auto n = GENERATE(as<std::size_t>{}, 1, 31, 33, 256, 257, 600);
  const stored_sequence sequence{shape, n, 1};
  const auto n_rows = std::min<std::size_t>(n, 19);
  const auto q = random_floats(n_rows * n_head * head_dim, 3);
  for (const auto& kernels : all_kernels()) {
    if (!kernels.supported())
      continue;
    CAPTURE(kernels.name, n_head, n_head_kv, head_dim, n, type == kv_type::f16);
    const auto out = attend(shape, n_head, {sequence.rows(0, n_rows, n - n_rows)}, q, 1, kernels);
    for (std::size_t row = 0; row < n_rows; ++row)
      for (std::size_t h = 0; h < n_head; ++h) {
        const auto at = (row * n_head + h) * head_dim;
        const auto expected =
            exact(sequence, q.data() + at, h / (n_head / n_head_kv), n - n_rows + row);
        for (std::size_t d = 0; d < head_dim; ++d)
          REQUIRE(out[at + d] == Approx(expected[d]).margin(5e-6));
      }
  }
}

TEST_CASE("attention gives the same bits in any chunking, batch, thread count, instruction set",
          "[engine][attention]") {
  const auto type = GENERATE(kv_type::f32, kv_type::f16);
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
  const auto type = GENERATE(kv_type::f32, kv_type::f16);
  const auto window = GENERATE(as<std::size_t>{}, 1, 31, 256, 300, 2000);
  const std::size_t n_head = 4, head_dim = 20, n = 640;
  const kv_shape shape{type, 2, head_dim};
  const stored_sequence sequence{shape, n, 5};
  const auto row_values = n_head * head_dim;
  const auto q = random_floats(n * row_values, 7);
  CAPTURE(window, type == kv_type::f16);
  const auto whole =
      attend(shape, n_head, {sequence.rows(0, n, 0)}, q, 2, all_kernels().front(), window);
  for (const std::size_t row : {0u, 5u, 30u, 31u, 255u, 256u, 299u, 300u, 511u, 512u, 639u})
    for (std::size_t h = 0; h < n_head; ++h) {
      const auto at = row * row_values + h * head_dim;
      const auto expected = exact(sequence, q.data() + at, h / 2, row, window);
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
  const std::size_t n_head = 4, head_dim = 32, n = 60;
  const kv_shape shape{kv_type::f32, 2, head_dim};
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
