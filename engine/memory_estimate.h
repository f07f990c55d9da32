// SPDX-License-Identifier: MIT
#pragma once

#include "engine/model.h"
#include "engine/weights.h"

#include <cstddef>
#include <cstdint>

namespace bitnetd::engine {

/// What a loaded model takes of memory on one node, in bytes.
struct memory_estimate {
  std::uint64_t ternary = 0; ///< projections as ternary codes, repacked, with their scales
  std::uint64_t dense = 0;   ///< embedding, head and other matrices in halves or floats
  std::uint64_t norms = 0;
  std::uint64_t screen = 0;  ///< the 4-bit copy of a large head
  std::uint64_t buffers = 0; ///< of the forward pass
  std::uint64_t kv = 0;      ///< keys and values of `n_tokens`

  [[nodiscard]] std::uint64_t weights() const noexcept { return ternary + dense + norms + screen; }
  [[nodiscard]] std::uint64_t total() const noexcept { return weights() + buffers + kv; }
};

/// Bytes of a matrix that is kept dense: in halves where it is stored so, else in floats.
[[nodiscard]] std::uint64_t dense_bytes(const tensor_summary& tensor) noexcept;

/// From types and shapes alone. Exact for files of ternary, F16 and F32 norm tensors; an upper
/// bound where dense tensors of other types turn out to fit halves, or to be ternary in disguise.
/// In base 3 a matrix that stays in two bits, for its blocks' factors, is counted as if it did not.
[[nodiscard]] memory_estimate estimate_memory(const model& description, std::size_t n_tokens,
                                              kv_type kv, std::size_t max_rows,
                                              ternary_form form = ternary_form::two_bits);

} // namespace bitnetd::engine
