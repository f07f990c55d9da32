// SPDX-License-Identifier: MIT
#pragma once

#include "engine/node.h"

#include <algorithm>
#include <cstddef>
#include <functional>

namespace bitnetd::engine {

/// Below this an operation is done sooner by one thread than shared among several.
constexpr std::size_t worth_sharing_ns = 20'000;

/// Runs `body(from, to)` over 0…n-1 in blocks of `block`, in parallel when the whole is worth it:
/// `item_ns` is about what one item costs one thread. Inside compute_node::run.
template <class Body>
void for_blocks(compute_node& node, std::size_t n, std::size_t block, std::size_t item_ns,
                const Body& body) {
  if (n == 0)
    return;
  const auto n_blocks = (n + block - 1) / block;
  const auto run_block = [&](std::size_t i) { body(i * block, std::min(n, (i + 1) * block)); };
  if (n_blocks == 1 || n * item_ns < worth_sharing_ns) {
    for (std::size_t i = 0; i < n_blocks; ++i)
      run_block(i);
    return;
  }
  node.for_chunks(n_blocks,
                  std::ref(run_block)); // by reference: std::function then allocates nothing
}

/// The same with blocks chosen here: about 5 µs of work each. `item_tenth_ns`: a tenth of a
/// nanosecond per unit, so that cheap items can be told apart.
template <class Body>
void for_ranges(compute_node& node, std::size_t n, std::size_t item_tenth_ns, const Body& body) {
  const auto block = std::max<std::size_t>(1, 50'000 / std::max<std::size_t>(1, item_tenth_ns));
  for_blocks(node, n, block, item_tenth_ns / 10, body);
}

} // namespace bitnetd::engine
