// SPDX-License-Identifier: MIT
#pragma once

#include "base/hash.h"
#include "engine/model_source.h"

#include <cstddef>
#include <span>

namespace bitnetd::engine {

/// What one pass over a tensor's bytes tells.
struct payload_facts {
  hash128 hash;          ///< hash_in_pieces of its bytes as stored
  double zero_share = 0; ///< of ternary codes; 0 for other types
};

/// Hashes one tensor's payload and checks it: no 2-bit code of 3 (engines read it differently), no
/// NaN or Inf among scales and float values.
///
/// Requires raw.size() == tensor.bytes: asserted.
/// Errors   load_error that names file and tensor.
/// Threads  any; nothing is shared.
[[nodiscard]] payload_facts check_payload(const model_source& file, const gguf_tensor& tensor,
                                          std::span<const std::byte> raw);

} // namespace bitnetd::engine
