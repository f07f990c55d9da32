// SPDX-License-Identifier: MIT
//
// The integer kernels of every instruction set that this CPU has, and attention, on one thread:
// `hot` reuses one matrix (one part of 256 positions), `streamed` walks through 512 MiB of them, so
// that every byte comes from memory.
//
//   bench_kernels --benchmark_filter=avx512_vnni/ternary --benchmark_repetitions=5
#include "engine/attention.h"
#include "engine/kernels/base3_layout.h"
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
  std::size_t (*bytes)(std::size_t rows, std::size_t cols); ///< of a matrix
};

template <unsigned Bits> std::size_t bytes_of(std::size_t rows, std::size_t cols) {
  return padded_rows(rows) * padded_columns(cols) * Bits / 8;
}

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
  const auto matrix_bytes = what.bytes(rows, cols);
  const auto copies = hot ? 1 : streamed_bytes / matrix_bytes;
  std::vector<std::int8_t> x(n_tokens * padded_columns(cols) + 32, 3);
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

/// A few queries that read one KV head, over 256 positions, whose keys and then values lie one
/// after the other as a cache has them.
void attend(benchmark::State& state, attention_fn* run, kv_type type, std::size_t n_queries,
            bool hot) {
  constexpr std::size_t head_dim = 128, n_pages = attention_part_positions / page_tokens;
  const auto head_bytes = kv_head_bytes(type, head_dim), part_bytes = 2 * n_pages * head_bytes;
  const auto copies = hot ? 1 : streamed_bytes / part_bytes;
  const std::vector<float> queries(n_queries * head_dim, 0.5f);
  std::vector<float> out(n_queries * head_dim), max(n_queries), sum(n_queries);
  const std::vector<std::size_t> visible(n_queries, attention_part_positions), hidden(n_queries);
  std::vector<const float*> query_rows;
  std::vector<float*> out_rows;
  for (std::size_t i = 0; i < n_queries; ++i) {
    query_rows.push_back(queries.data() + i * head_dim);
    out_rows.push_back(out.data() + i * head_dim);
  }
  std::size_t copy = 0;
  for (auto _ : state) {
    const void *keys[n_pages], *values[n_pages];
    for (std::size_t page = 0; page < n_pages; ++page) {
      keys[page] = stream() + copy * part_bytes + 2 * page * head_bytes;
      values[page] = stream() + copy * part_bytes + (2 * page + 1) * head_bytes;
    }
    run({query_rows.data(), visible.data(), hidden.data(), n_queries, head_dim, keys, values, 0.01f,
         max.data(), sum.data(), out_rows.data()});
    benchmark::ClobberMemory();
    copy = copy + 1 < copies ? copy + 1 : 0;
  }
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(state.iterations()) *
                                                  static_cast<double>(part_bytes) * 1e-9,
                                              benchmark::Counter::kIsRate);
}

void register_attention(const kernel_table& table) {
  struct form {
    const char* name;
    kv_type type;
    attention_fn* run;
  };
  for (const auto& [name, type, run] : {form{"f32", kv_type::f32, table.attention_f32},
                                        form{"f16", kv_type::f16, table.attention_f16},
                                        form{"q8", kv_type::q8, table.attention_q8}})
    for (const bool hot : {true, false})
      for (const std::size_t n_queries : {1, 4, 16}) {
        const auto title = std::string{table.name} + "/attention/" + name + "/" +
                           std::to_string(n_queries) + (hot ? "/hot" : "/streamed");
        benchmark::RegisterBenchmark(title.c_str(), [=, kv = type, kernel = run](auto& state) {
          attend(state, kernel, kv, n_queries, hot);
        });
      }
}

} // namespace

int main(int argc, char** argv) {
  for (const auto& table : all_kernels()) {
    if (!table.supported())
      continue;
    register_attention(table);
    for (const auto& kernel : {kernel_case{"ternary", table.ternary_gemm, bytes_of<2>},
                               kernel_case{"base3", table.base3_gemm, base3_bytes},
                               kernel_case{"int4", table.int4_gemm, bytes_of<4>},
                               kernel_case{"int8", table.int8_gemm, bytes_of<8>}})
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
