// SPDX-License-Identifier: MIT
#pragma once

#include "engine/kernels/kernel_table.h"
#include "engine/node.h"

namespace bitnetd::engine {

/// What every operation of a step runs on: the threads of one node and the kernels of its CPU.
/// Passed down, never stored beyond its owner. An operation called inside `node.run` is parallel;
/// outside it runs on the caller. Which of both never changes a bit of the result.
struct compute_context {
  compute_node& node;
  const kernel_table& kernels;
};

} // namespace bitnetd::engine
