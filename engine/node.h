// SPDX-License-Identifier: MIT
#pragma once

#include "engine/node_memory.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitnetd::engine {

/// One NUMA node as it is to be used: its CPUs and the memory node that its weights and KV pages
/// are bound to (empty: not bound, e.g. two workers written by hand on a machine with one node).
struct node_description {
  std::vector<int> cpus;
  std::optional<int> memory_node;
  /// How far behind the process's other threads its compute threads stand, in steps of nice.
  int lower_by = 5;
};

/// The nodes of this machine, from hwloc, restricted to the CPUs this process may use.
/// `topology_xml` (for tests): the text of a recorded hwloc topology instead of the machine's own.
/// A machine with one memory node gives descriptions without one: there is nothing to bind.
/// Throws std::runtime_error when no CPU may be used or the XML is not readable.
[[nodiscard]] std::vector<node_description> discover_nodes(const std::string& topology_xml = {});

/// Memory and threads of one NUMA node.
///
/// `for_chunks` runs one operation: chunks 0..n-1, claimed from an atomic counter by the caller and
/// by whichever helper threads have arrived; nobody waits for a thread that never came. Which
/// thread computes a chunk never changes a result. One caller at a time.
///
/// Waiting spins for some 20 µs, then yields; helpers then sleep until the next operation. When the
/// caller spends much of its steps waiting for helpers, a neighbour is using a core: then fewer
/// helpers are asked for, and after a while one more again (neighbour_watch.h).
class compute_node {
public:
  /// `threads` includes the caller; 0 = one per CPU of the node. Helper threads are pinned to the
  /// node's CPUs and stand where.lower_by behind the rest of the process.
  compute_node(node_description where, std::size_t threads);
  ~compute_node();
  compute_node(const compute_node&) = delete;
  compute_node& operator=(const compute_node&) = delete;

  [[nodiscard]] const node_description& where() const noexcept;
  [[nodiscard]] std::size_t threads() const noexcept;
  /// Takes effect from the next `run`. 0 = one per CPU.
  void set_threads(std::size_t threads);

  /// Runs `step` with the helpers of this node at hand: inside it `for_chunks` is parallel.
  /// Between two runs no thread spins.
  void run(const std::function<void()>& step);
  /// Inside `run` only. With one chunk, or one thread, everything runs on the caller.
  /// `body` must not throw when there are helpers.
  void for_chunks(std::size_t n, const std::function<void(std::size_t chunk)>& body);

  /// Puts the calling thread where the helpers are: on the node's CPUs and lowered. For the
  /// thread that will call `run` for the rest of its life.
  void adopt_this_thread() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace bitnetd::engine
