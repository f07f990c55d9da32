// SPDX-License-Identifier: MIT
#pragma once

#include "engine/linear.h"

#include <span>

namespace bitnetd::engine {

/// One product of a phase, for all rows of its input: y = W x.
struct product {
  const linear* matrix;
  linear_input* input;
  std::span<float> out; ///< [n, matrix->rows()], not overlapping the input
};

/// Products of one phase: their parts are shared among the node's threads as if they were one, and
/// threads wait for each other once. Inside compute_node::run; results are those of linear::apply,
/// to the bit, whoever computes which part. All inputs have equally many rows.

/// All of them: out = y.
void multiply(std::span<const product> all, const compute_context& on);

/// The residual: out += y.
void multiply_add(const product& one, const compute_context& on);

/// The gated halves of a feed-forward block: out = activation(y_gate) * y_up, element by element
/// while both are still in the first-level cache. `up.out` is not used: gate.out is the result.
/// Requires both matrices to have the same number of rows.
void multiply_gated(const product& gate, const product& up, gated_fn* activation,
                    const compute_context& on);

} // namespace bitnetd::engine
