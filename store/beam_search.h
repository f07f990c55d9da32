// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace bitnetd::store {

/// A node of a graph and how far it is.
struct far_node {
  float distance = 0;
  std::uint32_t node = 0;
  auto operator<=>(const far_node&) const = default;
};

/// The bottom layer of HNSW's search (Malkov and Yashunin 2018, algorithm 2): from these along the
/// links, always on from the nearest node that was not looked at, until that is farther than the
/// worst of the `width` best. Of a graph larger than the caches most of the time is waiting for
/// rows; so those of a node's neighbours are asked for ahead.
///
/// Graph has: links(node), its neighbours; first_visit(node), true once; distance(node);
/// fetch(node), that its row will be needed. Returns up to `width` nodes, in no order.
template <class Graph>
std::vector<far_node> beam_search(Graph& graph, std::span<const std::uint32_t> from,
                                  std::size_t width) {
  constexpr std::size_t ahead = 3;
  std::vector<far_node> best, open; // heaps: the worst of the best on top, the nearest of the open
  std::vector<std::uint32_t> fresh;
  const auto offer = [&](std::uint32_t node) {
    const far_node one{graph.distance(node), node};
    if (best.size() >= width && one.distance >= best.front().distance)
      return;
    open.push_back(one);
    std::ranges::push_heap(open, std::greater{});
    best.push_back(one);
    std::ranges::push_heap(best);
    if (best.size() > width) {
      std::ranges::pop_heap(best);
      best.pop_back();
    }
  };
  const auto visit = [&](std::span<const std::uint32_t> nodes) {
    fresh.clear();
    for (const auto node : nodes)
      if (graph.first_visit(node))
        fresh.push_back(node);
    for (std::size_t i = 0; i < std::min(ahead, fresh.size()); ++i)
      graph.fetch(fresh[i]);
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (i + ahead < fresh.size())
        graph.fetch(fresh[i + ahead]);
      offer(fresh[i]);
    }
  };
  visit(from);
  while (!open.empty()) {
    const auto next = open.front();
    if (next.distance > best.front().distance)
      break;
    std::ranges::pop_heap(open, std::greater{});
    open.pop_back();
    visit(graph.links(next.node));
  }
  return best;
}

} // namespace bitnetd::store
