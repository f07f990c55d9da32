// SPDX-License-Identifier: MIT
#include "engine/node.h"

#include <climits>

#include <array>
#include <linux/mempolicy.h>
#include <new>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace bitnetd::engine {

namespace {

constexpr std::size_t max_memory_nodes = 1024; // the kernel's own limit on x86-64

/// Binds whole pages to one memory node. The system call itself: libnuma would add a dependency
/// and decide at start whether the machine has NUMA at all.
bool bind_to_node(void* address, std::size_t bytes, int node) noexcept {
  constexpr std::size_t bits = sizeof(unsigned long) * CHAR_BIT;
  if (node < 0 || static_cast<std::size_t>(node) >= max_memory_nodes)
    return false;
  std::array<unsigned long, max_memory_nodes / bits> mask{};
  mask[static_cast<std::size_t>(node) / bits] = 1UL << (static_cast<std::size_t>(node) % bits);
  return ::syscall(SYS_mbind, address, bytes, MPOL_BIND, mask.data(), max_memory_nodes + 1, 0) == 0;
}

} // namespace

node_memory::node_memory(std::size_t bytes, std::optional<int> memory_node) : size_{bytes} {
  if (bytes == 0)
    return;
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    throw std::bad_alloc{};
  data_ = static_cast<std::byte*>(pages);
  // Before the first touch: pages come into being where the policy then says. Weights are read
  // front to back in every step, so large pages save page walks; only advice, it may be refused.
  bound_ = !memory_node || bind_to_node(pages, bytes, *memory_node);
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  if (bytes >= huge_page)
    ::madvise(pages, bytes, MADV_HUGEPAGE);
}

node_memory::~node_memory() {
  if (data_ != nullptr)
    ::munmap(data_, size_);
}

node_memory::node_memory(node_memory&& other) noexcept
    : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)},
      bound_{std::exchange(other.bound_, true)} {}

node_memory& node_memory::operator=(node_memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(bound_, other.bound_);
  return *this;
}

} // namespace bitnetd::engine
