// SPDX-License-Identifier: MIT
//
// The integer kernels of every instruction set that this CPU has, on one thread: `hot` reuses one
// matrix, `streamed` walks through 512 MiB of them, so that every byte comes from memory.
//
//   bench_kernels --benchmark_filter=avx512_vnni/ternary --benchmark_repetitions=5
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/packed_layout.h"
#include "engine/node.h"

#include <benchmark/benchmark.h>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace bitnetd::engine;

namespace {

constexpr std::size_t streamed_bytes = std::size_t{512} << 20;

struct kernel_case {
  std::string name;
  packed_gemm_fn* run;
  unsigned bits;
};

/// One buffer for all streamed cases; what is in it does not matter, only that it is everywhere.
std::byte* stream() {
  static const node_memory memory = [] {
    node_memory filled{streamed_bytes, {}};
    std::memset(filled.data(), 0x55, filled.size());
    return filled;
  }();
  return memory.data();
}

void multiply(benchmark::State& state, const kernel_case& what, std::size_t rows, std::size_t cols,
              std::size_t n_tokens, bool hot) {
  const auto matrix_bytes = padded_rows(rows) * padded_columns(cols) * what.bits / 8;
  const auto copies = hot ? 1 : streamed_bytes / matrix_bytes;
  std::vector<std::int8_t> x(n_tokens * padded_columns(cols), 3);
  const std::vector<std::int32_t> x_sums(n_tokens, static_cast<std::int32_t>(3 * cols));
  std::vector<std::int32_t> acc(n_tokens * rows);
  std::size_t copy = 0;
  for (auto _ : state) {
    // In chunks of 64 rows, as the engine does it.
    const auto* panels = reinterpret_cast<const std::uint8_t*>(stream()) + copy * matrix_bytes;
    for (std::size_t r = 0; r < rows; r += 64)
      what.run(panels + r * (matrix_bytes / rows), std::min<std::size_t>(64, rows - r), cols,
               x.data(), padded_columns(cols), x_sums.data(), n_tokens, acc.data() + r, rows);
    benchmark::ClobberMemory();
    copy = copy + 1 < copies ? copy + 1 : 0;
  }
  const auto times = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(times * static_cast<double>(matrix_bytes) * 1e-9,
                                              benchmark::Counter::kIsRate);
  state.counters["Gop/s"] = benchmark::Counter(
      times * 2e-9 * static_cast<double>(rows * cols * n_tokens), benchmark::Counter::kIsRate);
}

} // namespace

int main(int argc, char** argv) {
  for (const auto& table : all_kernels()) {
    if (!table.supported())
      continue;
    for (const auto& kernel :
         {kernel_case{"ternary", table.ternary_gemm, 2}, kernel_case{"int4", table.int4_gemm, 4},
          kernel_case{"int8", table.int8_gemm, 8}})
      for (const bool hot : {true, false})
        for (const std::size_t n_tokens : {1, 2, 4, 8, 16, 64}) {
          const auto name = std::string{table.name} + "/" + kernel.name + "/6912x2560/" +
                            std::to_string(n_tokens) + (hot ? "/hot" : "/streamed");
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            multiply(state, kernel, 6912, 2560, n_tokens, hot);
          });
        }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
