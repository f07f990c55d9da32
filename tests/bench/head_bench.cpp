// SPDX-License-Identifier: MIT
//
// The head of shape 2b-4t (128,256 x 2,560, halves, random rows), whole and by way of its screen,
// for one greedy token whose winner has a given cosine with the input:
//
//   bench_head --benchmark_repetitions=5
#include "engine/head_screen.h"
#include "engine/tensor_type.h"
#include "tests/engine/planted_input.h"

#include <benchmark/benchmark.h>
#include <string>
#include <vector>

using namespace bitnetd::engine;

namespace {

constexpr std::size_t rows = 128'256, cols = 2'560, winner = 77'777;

linear random_head() {
  node_memory halves{rows * cols * 2, {}};
  auto* to = reinterpret_cast<std::uint16_t*>(halves.data());
  for (std::size_t r = 0; r < rows; ++r)
    for (const auto value : test::random_floats(cols, static_cast<std::uint32_t>(r), 0.05f))
      *to++ = float_to_half(value);
  return linear::dense_f16(rows, cols, std::move(halves));
}

/// A head with its screen, made once.
struct planted_head {
  linear exact = random_head();
  head_screen screen = head_screen::make(exact, {}, best_kernels());

  /// An input whose cosine with the winner's row is `cosine`.
  [[nodiscard]] std::vector<float> input(double cosine) const {
    std::vector<float> w(cols);
    exact.decode_row(winner, w, best_kernels());
    return test::planted_input(w, cosine, rows);
  }
};

const planted_head& head() {
  static const planted_head made;
  return made;
}

void read_whole(const std::vector<float>& x, std::vector<float>& logits,
                const compute_context& on) {
  linear_input in;
  in.assign(x, 1, cols, activation_quantization::none);
  head().exact.apply(in, logits, on);
}

void whole(benchmark::State& state, std::size_t threads) {
  compute_node node{{}, threads};
  const compute_context on{node, best_kernels()};
  const auto x = head().input(0.25);
  std::vector<float> logits(rows);
  for (auto _ : state)
    node.run([&] { read_whole(x, logits, on); });
}

void screened(benchmark::State& state, std::size_t threads, double cosine) {
  compute_node node{{}, threads};
  const compute_context on{node, best_kernels()};
  const auto x = head().input(cosine);
  const head_query greedy;
  const auto* const asked = &greedy;
  std::vector<float> bounds(rows);
  std::optional<head_answer> answer;
  screened_head reader;
  for (auto _ : state) {
    state.PauseTiming(); // what is left of the screen in a cache goes
    node.run([&] { read_whole(x, bounds, on); });
    state.ResumeTiming();
    node.run([&] {
      reader.answer(head().exact, head().screen, x, {&asked, 1}, rows / 2, bounds, {&answer, 1},
                    on);
      if (!answer)
        read_whole(x, bounds, on);
    });
  }
  state.counters["rows"] = static_cast<double>(answer ? reader.rows_read() : rows);
}

} // namespace

int main(int argc, char** argv) {
  for (const auto threads : {std::size_t{1}, std::size_t{2}}) {
    const auto name = std::to_string(threads) + "_threads/";
    benchmark::RegisterBenchmark((name + "whole").c_str(), whole, threads)->UseRealTime();
    for (const int percent : {10, 12, 14, 16, 18, 20, 25, 30, 40})
      benchmark::RegisterBenchmark((name + "screened/cosine_0." + std::to_string(percent)).c_str(),
                                   screened, threads, percent / 100.0)
          ->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
