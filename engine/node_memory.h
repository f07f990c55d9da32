// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace bitnetd::engine {

/// Zeroed, 64-byte aligned memory, bound to a memory node with mbind where one is given. When the
/// kernel refuses the binding the memory is still usable and `bound()` is false.
class node_memory {
public:
  node_memory() = default;
  /// Throws std::bad_alloc.
  node_memory(std::size_t bytes, std::optional<int> memory_node);
  node_memory(node_memory&&) noexcept;
  node_memory& operator=(node_memory&&) noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// False only when a node was asked for and the kernel refused.
  [[nodiscard]] bool bound() const noexcept { return bound_; }

private:
  friend class node_arena;
  std::shared_ptr<std::byte> data_; ///< of its own, or a part of an arena's slab
  std::size_t size_ = 0;
  bool bound_ = true;
};

/// Floats in node memory, zero at first: what the operations of a step hand to each other.
class node_floats {
public:
  node_floats() = default;
  node_floats(std::size_t n, std::optional<int> memory_node)
      : memory_{n * sizeof(float), memory_node} {}
  [[nodiscard]] std::span<float> all() const noexcept {
    return {reinterpret_cast<float*>(memory_.data()), memory_.size() / sizeof(float)};
  }

private:
  node_memory memory_;
};

/// Gives out memory of one node that lies together, in the order in which it is asked for. A matrix
/// of its own rarely fills huge pages, and what lies on small ones is read a good tenth slower; and
/// what follows a matrix is then what the next operation reads, so that prefetching past its end
/// is not in vain. A slab lives as long as anything in it. Any number of threads may ask at once.
class node_arena {
public:
  explicit node_arena(std::optional<int> memory_node) noexcept : memory_node_{memory_node} {}

  /// Zeroed and 64-byte aligned, as node_memory is. Throws std::bad_alloc.
  [[nodiscard]] node_memory take(std::size_t bytes);

private:
  std::optional<int> memory_node_;
  std::mutex mutex_;
  node_memory slab_;
  std::size_t used_ = 0; ///< bytes of the slab
};

} // namespace bitnetd::engine
