// SPDX-License-Identifier: MIT
#include "engine/head_screen.h"
#include "engine/sampler.h"
#include "engine/tensor_type.h"
#include "tests/engine/planted_input.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>

using namespace bitnetd::engine;
using test::random_floats;

namespace {

/// A head of halves, and inputs whose cosine with one planted row is known.
struct planted_head {
  std::size_t rows, cols;
  linear exact;

  planted_head(std::size_t n_rows, std::size_t n_cols, std::uint32_t seed)
      : rows{n_rows}, cols{n_cols} {
    auto values = random_floats(rows * cols, seed, 0.05f);
    // Rows of very different length, some rows twice, one row of zeros.
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < cols; ++c)
        values[r * cols + c] *= r % 7 == 0 ? 2.5f : 1.0f;
    for (std::size_t r = 0; r + 64 < rows; r += 50)
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * cols), cols,
                  values.begin() + static_cast<std::ptrdiff_t>((r + 33) * cols));
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(3 * cols), cols, 0.0f);
    node_memory halves{rows * cols * 2, {}};
    auto* to = reinterpret_cast<std::uint16_t*>(halves.data());
    for (std::size_t i = 0; i < values.size(); ++i)
      to[i] = float_to_half(values[i]);
    exact = linear::dense_f16(rows, cols, std::move(halves));
  }

  std::vector<float> input(std::size_t row, double cosine, std::uint32_t seed) const {
    std::vector<float> w(cols);
    exact.decode_row(row, w, best_kernels());
    auto x = test::planted_input(w, cosine, seed);
    for (auto& value : x)
      value *= 3;
    return x;
  }
};

std::vector<float> all_logits(const linear& head, const std::vector<float>& x,
                              const compute_context& on) {
  linear_input in;
  in.assign(x, x.size() / head.cols(), head.cols(),
            head.is_rounded() ? activation_quantization::absmax : activation_quantization::none);
  std::vector<float> y(in.n_rows() * head.rows());
  head.apply(in, y, on);
  return y;
}

std::vector<sampling_params> ways_to_draw() {
  sampling_params greedy, top_k, top_p, min_p, biased, penalized, top_one;
  top_k.temperature = top_p.temperature = min_p.temperature = penalized.temperature = 0.8f;
  top_k.top_k = 40;
  top_p.top_k = 20;
  top_p.top_p = 0.7f;
  min_p.min_p = 0.05f;
  top_one.temperature = 2.0f;
  top_one.top_k = 1;
  biased.logit_bias = {{5, 3.0f}, {11, -100.0f}, {70000, 1.0f}, {17, 20.0f}};
  penalized.top_k = 10;
  penalized.min_p = 0.1f;
  penalized.repetition_penalty = 1.3f;
  return {greedy, top_k, top_p, min_p, biased, penalized, top_one};
}

} // namespace

TEST_CASE("a screened head draws what the whole head draws", "[engine][head]") {
  const auto cosine = GENERATE(0.02, 0.1, 0.2, 0.3, 0.5, 0.9);
  const auto cols = GENERATE(as<std::size_t>{}, 130, 512);
  const planted_head head{2000, cols, 7};
  const auto screen = head_screen::make(head.exact, {}, best_kernels());
  compute_node node{{}, 1};
  screened_head reader;
  for (const auto* kernels : {&all_kernels().front(), &best_kernels()}) {
    const compute_context on{node, *kernels};
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
      const std::size_t winner = 50 * seed + 33 * (seed % 2) + 3;
      const auto x = head.input(winner, cosine, seed + 1);
      const auto expected = all_logits(head.exact, x, on);
      const std::vector<token_id> recent{token_id(winner), 4, 9};
      for (auto params : ways_to_draw()) {
        params.seed = seed;
        const auto query = screened_query(params, recent);
        REQUIRE(query);
        const auto* const asked = &*query;
        std::vector<float> bounds(head.rows);
        std::optional<head_answer> answer;
        reader.answer(head.exact, screen, x, {&asked, 1}, head.rows, bounds, {&answer, 1}, on);
        CAPTURE(cosine, cols, seed, kernels->name, params.top_k, params.min_p);
        for (std::size_t r = 0; r < head.rows; ++r)
          if (!(expected[r] <= bounds[r]))
            FAIL("row " << r << ": " << expected[r] << " above its bound " << bounds[r]);
        REQUIRE(answer);
        for (const auto& [row, logit] : answer->logits)
          CHECK(logit == expected[row]);
        const auto whole = draw(expected, params, recent, seed);
        const auto some = draw_screened(*answer, params, recent, seed);
        CHECK(some.token == whole.token);
        CHECK(some.logprob == Approx(whole.logprob).margin(0.1));
      }
    }
  }
}

TEST_CASE("a screened head reads few rows where the winner stands out", "[engine][head]") {
  const planted_head head{4000, 1024, 3};
  const auto screen = head_screen::make(head.exact, {}, best_kernels());
  compute_node node{{}, 1};
  const compute_context on{node, best_kernels()};
  screened_head reader;
  const auto x = head.input(105, 0.4, 5); // one of the long rows
  const head_query greedy;
  const auto* const asked = &greedy;
  std::vector<float> bounds(head.rows);
  std::optional<head_answer> answer;
  reader.answer(head.exact, screen, x, {&asked, 1}, 100, bounds, {&answer, 1}, on);
  REQUIRE(answer);
  CHECK(reader.rows_read() < 100);
  CHECK(4 * screen.copy().weight_bytes() == head.exact.weight_bytes());
}

TEST_CASE("a screened head gives up where too many rows may win, or nothing can be proven",
          "[engine][head]") {
  const planted_head head{2000, 256, 3};
  const auto screen = head_screen::make(head.exact, {}, best_kernels());
  compute_node node{{}, 1};
  const compute_context on{node, best_kernels()};
  screened_head reader;
  auto x = random_floats(3 * 256, 9);
  x[256] = std::numeric_limits<float>::quiet_NaN();
  x[512] = 3e38f;
  const head_query greedy;
  const std::vector<const head_query*> asked(3, &greedy);
  std::vector<float> bounds(3 * head.rows);
  std::vector<std::optional<head_answer>> answers(3);
  reader.answer(head.exact, screen, x, asked, 40, bounds, answers, on);
  CHECK_FALSE(answers[0]);
  CHECK_FALSE(answers[1]);
  CHECK_FALSE(answers[2]);
}

TEST_CASE("sampling that needs the whole sum asks for all logits", "[engine][head]") {
  sampling_params params;
  params.temperature = 1;
  CHECK_FALSE(screened_query(params, {}));
  params.top_p = 0.9f;
  params.min_p = 0.1f;
  CHECK_FALSE(screened_query(params, {}));
  params.top_k = 50;
  REQUIRE(screened_query(params, {}));
  CHECK(screened_query(params, {})->best == 50);
}

TEST_CASE("rounded heads are as close as their bits allow", "[engine][head]") {
  const planted_head head{500, 512, 21};
  compute_node node{{}, 1};
  const compute_context on{node, best_kernels()};
  const auto x = head.input(77, 0.3, 2);
  const auto expected = all_logits(head.exact, x, on);
  const auto relative_error = [&](packed_bits bits) {
    const auto got = all_logits(round_rows(head.exact, bits, {}, best_kernels()), x, on);
    double error = 0, size = 0;
    for (std::size_t r = 0; r < head.rows; ++r) {
      error += std::pow(double{got[r]} - double{expected[r]}, 2);
      size += std::pow(double{expected[r]}, 2);
    }
    return std::sqrt(error / size);
  };
  // Uniform quantization of a normal distribution, 16 levels: 0.1074 (Max 1960); 255 levels up to
  // the largest of 512 values, about 3.1 deviations: 3.1 / 127 / sqrt(12) = 0.007, and as much
  // again from rounding x.
  CHECK(relative_error(packed_bits::four) == Approx(0.1074).epsilon(0.15));
  CHECK(relative_error(packed_bits::eight) < 0.015);
}
