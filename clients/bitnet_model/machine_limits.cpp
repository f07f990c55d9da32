// SPDX-License-Identifier: MIT
#include "clients/bitnet_model/machine_limits.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
// GCC 12 warns about its own header: "undefined" vectors there are written `v = v`.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#endif

namespace bitnetd::model_tool {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{512} << 20, piece_bytes = std::size_t{1} << 20;
constexpr std::size_t rounds = 100'000; ///< of twelve independent products each

/// Results go here, so that no compiler finds the work useless.
std::atomic<std::uint64_t> sink{0};

/// Runs `work` for every index below `n` on the node; the median time of five passes, in seconds.
double median_seconds(engine::compute_node& node, std::size_t n,
                      const std::function<void(std::size_t)>& work) {
  std::array<double, 5> seconds{};
  for (auto& one : seconds) {
    const auto start = std::chrono::steady_clock::now();
    node.run([&] { node.for_chunks(n, work); });
    one = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

void read_plainly(const std::byte* from) {
  typedef std::uint64_t words __attribute__((vector_size(16)));
  words sums[4] = {};
  for (std::size_t at = 0; at < piece_bytes; at += 64) {
    __builtin_prefetch(from + at + 4096);
    for (std::size_t i = 0; i < 4; ++i) {
      words some;
      std::memcpy(&some, from + at + 16 * i, sizeof some);
      sums[i] ^= some;
    }
  }
  const auto all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  sink.fetch_xor(all[0] ^ all[1], std::memory_order_relaxed);
}

#if defined(__x86_64__)

__attribute__((target("avx512f"))) void read_512(const std::byte* from) {
  __m512i sums[4] = {};
  for (std::size_t at = 0; at < piece_bytes; at += 256)
    for (std::size_t i = 0; i < 4; ++i) {
      _mm_prefetch(reinterpret_cast<const char*>(from + at + 4096 + 64 * i), _MM_HINT_T0);
      sums[i] = _mm512_xor_si512(sums[i], _mm512_loadu_si512(from + at + 64 * i));
    }
  const auto all =
      _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]));
  alignas(64) std::uint64_t words[8];
  _mm512_store_si512(words, all);
  sink.fetch_xor(words[0] ^ words[5], std::memory_order_relaxed);
}

// Twelve sums cover the latency; the empty asm keeps each round's operands unknown. One macro,
// since a lambda would not inherit the instruction set.
#define BITNETD_PEAK(name, isa, vector, zero, everywhere, step)                                    \
  __attribute__((target(isa), optimize("unroll-loops"))) void name(std::size_t) {                  \
    vector s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero, \
           s8 = zero, s9 = zero, s10 = zero, s11 = zero;                                           \
    vector a = everywhere(3), b = everywhere(2);                                                   \
    for (std::size_t i = 0; i < rounds; ++i) {                                                     \
      asm volatile("" : "+v"(a), "+v"(b));                                                         \
      s0 = step(s0, a, b), s1 = step(s1, a, b), s2 = step(s2, a, b), s3 = step(s3, a, b);          \
      s4 = step(s4, a, b), s5 = step(s5, a, b), s6 = step(s6, a, b), s7 = step(s7, a, b);          \
      s8 = step(s8, a, b), s9 = step(s9, a, b), s10 = step(s10, a, b), s11 = step(s11, a, b);      \
    }                                                                                              \
    alignas(64) vector all[12] = {s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11};               \
    std::uint64_t sum = 0;                                                                         \
    for (const auto& one : all) {                                                                  \
      std::uint64_t word;                                                                          \
      std::memcpy(&word, &one, sizeof word);                                                       \
      sum += word;                                                                                 \
    }                                                                                              \
    sink.fetch_xor(sum, std::memory_order_relaxed);                                                \
  }

/// Products of bytes, added in 16 bits as the kernels do it. The operands are the same in all sums:
/// as an intrinsic the compiler would multiply once for all of them.
__attribute__((target("avx2"), always_inline)) inline __m256i step_avx2(__m256i sums, __m256i a,
                                                                        __m256i b) {
  __m256i products;
  asm volatile("vpmaddubsw %2, %1, %0" : "=x"(products) : "x"(a), "x"(b));
  return _mm256_add_epi16(sums, products);
}

BITNETD_PEAK(products_512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), _mm512_set1_epi8,
             _mm512_dpbusd_epi32)
BITNETD_PEAK(products_256, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), _mm256_set1_epi8,
             _mm256_dpbusd_avx_epi32)
BITNETD_PEAK(products_avx2, "avx2", __m256i, _mm256_setzero_si256(), _mm256_set1_epi8, step_avx2)

#undef BITNETD_PEAK
#endif

struct peak {
  void (*run)(std::size_t) = nullptr;
  std::size_t operations = 0; ///< of one round: a product and an addition per byte
};

peak peak_of(std::string_view isa) {
#if defined(__x86_64__)
  if (isa == "avx512_vnni")
    return {products_512, 12 * 128};
  if (isa == "avx_vnni")
    return {products_256, 12 * 64};
  if (isa == "avx2")
    return {products_avx2, 12 * 64};
#endif
  (void)isa;
  return {};
}

} // namespace

machine_limits measure_limits(engine::compute_node& node, std::string_view isa) {
  machine_limits out;
  auto read = read_plainly;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    read = read_512;
#endif
  // A page more than is counted: prefetching runs ahead.
  engine::node_memory buffer{buffer_bytes + piece_bytes, node.where().memory_node};
  std::memset(buffer.data(), 1, buffer.size()); // pages that were never written are all one page
  const auto n_pieces = buffer_bytes / piece_bytes;
  const auto read_seconds = median_seconds(
      node, n_pieces, [&](std::size_t piece) { read(buffer.data() + piece * piece_bytes); });
  out.read_gb_per_s = static_cast<double>(buffer_bytes) / read_seconds * 1e-9;

  const auto products = peak_of(isa);
  if (products.run != nullptr) {
    const auto n = 64 * node.threads();
    const auto seconds = median_seconds(node, n, products.run);
    out.integer_top_per_s = static_cast<double>(n * rounds * products.operations) / seconds * 1e-12;
  }
  return out;
}

} // namespace bitnetd::model_tool
