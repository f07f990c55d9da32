// SPDX-License-Identifier: MIT
#include "engine/telemetry.h"

#include "engine/rapl.h"

#include <array>

namespace bitnetd::engine {

std::string_view to_string(operation op) noexcept {
  static constexpr std::array<std::string_view, n_operations> names{
      "embed",       "norm",    "quantize", "qkv",  "rope",  "attention",
      "attn_output", "gate_up", "ffn_down", "head", "sample"};
  const auto index = static_cast<std::size_t>(op);
  return index < names.size() ? names[index] : "unknown";
}

operation_cost telemetry::total() const noexcept {
  operation_cost sum;
  for (const auto& layer : layers)
    for (const auto& cost : layer) {
      sum.nanoseconds += cost.nanoseconds;
      sum.weight_bytes += cost.weight_bytes;
      sum.kv_bytes += cost.kv_bytes;
      sum.additions += cost.additions;
      sum.multiplications += cost.multiplications;
      sum.integer_multiplications += cost.integer_multiplications;
      sum.zero_additions += cost.zero_additions;
    }
  return sum;
}

double estimate_joules(const operation_cost& cost, bool with_memory) noexcept {
  // Horowitz, "Computing's energy problem", ISSCC 2014, 45 nm, as the BitNet papers use it. A
  // ternary product is an int8 addition per weight, zeros included: the kernels do not skip them.
  // A multiplication stands for a float product and the addition that follows it.
  constexpr double picojoule = 1e-12;
  constexpr double int8_add = 0.03 * picojoule;
  constexpr double int8_multiply_add = (0.2 + 0.1) * picojoule; // added in 32 bits
  constexpr double float_multiply_add = (3.7 + 0.9) * picojoule;
  constexpr double dram_byte = 20 * picojoule;
  auto joules = static_cast<double>(cost.additions) * int8_add +
                static_cast<double>(cost.integer_multiplications) * int8_multiply_add +
                static_cast<double>(cost.multiplications) * float_multiply_add;
  if (with_memory)
    joules += static_cast<double>(cost.weight_bytes + cost.kv_bytes) * dram_byte;
  return joules;
}

double rapl_joules() { return rapl_meter{}.joules().value_or(-1); }

} // namespace bitnetd::engine
