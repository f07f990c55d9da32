// SPDX-License-Identifier: MIT
#include "engine/node_memory.h"

#include <climits>

#include <algorithm>
#include <array>
#include <cstdint>
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

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t slab_bytes = std::size_t{64} << 20;
constexpr std::size_t alignment = 64;

/// Fresh pages; from the size of a huge page on, aligned to one.
std::byte* map_pages(std::size_t bytes) {
  const auto slack = bytes >= huge_page ? huge_page : 0;
  void* pages =
      ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    throw std::bad_alloc{};
  if (slack == 0)
    return static_cast<std::byte*>(pages);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(pages);
  const auto before = (huge_page - address % huge_page) % huge_page;
  auto* const aligned = static_cast<std::byte*>(pages) + before;
  const auto end = (bytes + page - 1) / page * page; // of what is kept
  if (before > 0)
    ::munmap(pages, before);
  if (const auto mapped = (bytes + slack + page - 1) / page * page; before + end < mapped)
    ::munmap(aligned + end, mapped - before - end);
  return aligned;
}

} // namespace

node_memory::node_memory(std::size_t bytes, std::optional<int> memory_node) : size_{bytes} {
  if (bytes == 0)
    return;
  auto* const pages = map_pages(bytes);
  data_ = {pages, [bytes](std::byte* from) { ::munmap(from, bytes); }};
  // Before the first touch: pages come into being where the policy then says. Weights are read
  // front to back in every step, so large pages save page walks; only advice, it may be refused.
  bound_ = !memory_node || bind_to_node(pages, bytes, *memory_node);
  if (bytes >= huge_page)
    ::madvise(pages, bytes, MADV_HUGEPAGE);
}

node_memory::node_memory(node_memory&& other) noexcept
    : data_{std::move(other.data_)}, size_{std::exchange(other.size_, 0)}, bound_{std::exchange(
                                                                               other.bound_,
                                                                               true)} {}

node_memory& node_memory::operator=(node_memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(bound_, other.bound_);
  return *this;
}

node_memory node_arena::take(std::size_t bytes) {
  if (bytes > slab_bytes / 4) // fills huge pages by itself
    return {bytes, memory_node_};
  const std::scoped_lock lock{mutex_};
  const auto rounded = (bytes + alignment - 1) / alignment * alignment;
  if (slab_.size() - used_ < rounded) {
    slab_ = node_memory{slab_bytes, memory_node_};
    used_ = 0;
  }
  node_memory part;
  if (bytes == 0)
    return part;
  part.data_ = {slab_.data_, slab_.data() + std::exchange(used_, used_ + rounded)};
  part.size_ = bytes;
  part.bound_ = slab_.bound();
  return part;
}

} // namespace bitnetd::engine
