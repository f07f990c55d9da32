// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bitnetd::engine {

/// The operations of a step that are measured apart.
enum class operation : std::uint8_t {
  embed,
  norm,     ///< norms that nothing is quantized after: of heads, after a block, of the output
  quantize, ///< preparing the input of projections: norm and int8 codes
  qkv,
  rope, ///< and storing keys and values
  attention,
  attn_output,
  gate_up, ///< and the gated activation
  ffn_down,
  head,
  sample
};
constexpr std::size_t n_operations = 11;
[[nodiscard]] std::string_view to_string(operation op) noexcept;

/// What one operation of one layer cost since the start.
struct operation_cost {
  std::uint64_t nanoseconds = 0;
  std::uint64_t weight_bytes = 0; ///< read from weights; once per step, whatever the batch
  std::uint64_t kv_bytes = 0;     ///< read from the KV cache
  std::uint64_t additions = 0;    ///< of ternary products: one per weight and token
  std::uint64_t multiplications = 0;
  std::uint64_t zero_additions = 0;          ///< of those additions, how many had a zero weight
  std::uint64_t integer_multiplications = 0; ///< 8-bit products and their additions, of heads
};

/// Sums of a batch since its construction. Layers first; embed, head and sample stand in the last
/// row (index n_layer).
struct telemetry {
  std::uint64_t steps = 0, tokens = 0;
  /// Of rows of logits that a screened head was asked for: how many, how many of them had to be
  /// computed whole after all, and how many single logits were read exactly for the others.
  std::uint64_t screened = 0, screen_fallbacks = 0, screen_rows_read = 0;
  std::vector<std::vector<operation_cost>> layers; ///< [n_layer + 1][n_operations]

  [[nodiscard]] operation_cost total() const noexcept;
};

/// Joules of the arithmetic alone, by published energies per operation (45 nm, Horowitz 2014):
/// an estimate that leaves out static power; `with_memory` adds DRAM traffic at 20 pJ per byte.
[[nodiscard]] double estimate_joules(const operation_cost& cost, bool with_memory) noexcept;

/// Joules used by the CPU package since the machine started, from RAPL; negative where the machine
/// does not tell.
[[nodiscard]] double rapl_joules();

} // namespace bitnetd::engine
