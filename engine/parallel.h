// SPDX-License-Identifier: MIT
#pragma once

#include "engine/node.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

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

/// Runs of neighbours among n items, as threads claim them: three quarters of what is left in one
/// run per thread, then of what is left again, down to runs of `least`. A thread that reads items
/// one after another then rarely meets the end of its run, and what it fetched ahead is its own;
/// whoever is done sooner takes more of the short runs.
class shrinking_runs {
public:
  shrinking_runs(std::size_t n, std::size_t threads, std::size_t least) noexcept
      : n_{n}, threads_{threads}, least_{std::max<std::size_t>(1, least)} {
    size_ = count();
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Run i < size(), from `first` to before `second`; no run is empty.
  [[nodiscard]] std::pair<std::size_t, std::size_t> operator[](std::size_t i) const noexcept {
    std::size_t at = 0, length = length_at(0);
    for (; length > least_ && i >= threads_; i -= threads_, length = length_at(at))
      at += threads_ * length;
    at += i * length;
    return {at, std::min(n_, at + length)};
  }

private:
  [[nodiscard]] std::size_t length_at(std::size_t at) const noexcept {
    return std::max(least_, (n_ - at) * 3 / (4 * threads_));
  }
  [[nodiscard]] std::size_t count() const noexcept {
    std::size_t at = 0, runs = 0;
    for (auto length = length_at(0); length > least_; length = length_at(at), runs += threads_)
      at += threads_ * length;
    return runs + (n_ - at + least_ - 1) / least_;
  }

  std::size_t n_, threads_, least_, size_ = 0;
};

/// Runs `body(from, to)` over 0…n-1 in shrinking runs, where the whole is worth sharing. For items
/// that are read from memory in their order; `item_ns` as above. Inside compute_node::run.
template <class Body>
void for_runs(compute_node& node, std::size_t n, std::size_t item_ns, const Body& body) {
  if (node.threads() == 1 || n * item_ns < worth_sharing_ns) {
    if (n > 0)
      body(std::size_t{0}, n);
    return;
  }
  const shrinking_runs runs{n, node.threads(), 5'000 / std::max<std::size_t>(1, item_ns)};
  const auto run = [&](std::size_t i) {
    const auto [from, to] = runs[i];
    body(from, to);
  };
  node.for_chunks(runs.size(), std::ref(run));
}

/// As for_blocks, with blocks chosen here: about 5 µs of work each. `item_tenth_ns`: a tenth of a
/// nanosecond per unit, so that cheap items can be told apart.
template <class Body>
void for_ranges(compute_node& node, std::size_t n, std::size_t item_tenth_ns, const Body& body) {
  const auto block = std::max<std::size_t>(1, 50'000 / std::max<std::size_t>(1, item_tenth_ns));
  for_blocks(node, n, block, item_tenth_ns / 10, body);
}

} // namespace bitnetd::engine
