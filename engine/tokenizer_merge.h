// SPDX-License-Identifier: MIT
#pragma once

#include "engine/tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace bitnetd::engine {

/// A part of a text that may still be joined with its neighbours.
struct merge_symbol {
  std::uint32_t begin = 0, size = 0; ///< bytes; size 0 once it was joined to the left
  token_id id = -1;                  ///< -1: no token
};

/// What two neighbours would become; lower ranks are joined first.
struct merge_result {
  std::uint32_t rank = 0;
  token_id id = -1;
};

/// Joins neighbours, always the pair of lowest rank and of those the leftmost, until no pair is
/// left: byte-pair encoding and SentencePiece's BPE alike. O(n log n) in the number of symbols, by
/// a heap of candidate pairs over a linked list. Reused from piece to piece to save allocations.
class merger {
public:
  std::vector<merge_symbol> symbols; ///< in order; filled by the caller, fewer than 2^32 - 1

  /// `join(left, right)` tells what two symbols become: optional<merge_result>.
  template <class Join> void run(const Join& join) {
    const auto n = static_cast<std::uint32_t>(symbols.size());
    next_.resize(n);
    previous_.resize(n);
    heap_.clear();
    for (std::uint32_t i = 0; i < n; ++i) {
      next_[i] = i + 1 < n ? i + 1 : none;
      previous_[i] = i > 0 ? i - 1 : none;
      if (i > 0)
        consider(i - 1, i, join);
    }
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>{});
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
      const auto best = heap_.back();
      heap_.pop_back();
      const auto left = static_cast<std::uint32_t>(best.order);
      auto& kept = symbols[left];
      // A part that was joined since makes the candidate stale; sizes tell, as they only change so.
      if (kept.size == 0 || symbols[best.right].size == 0 ||
          kept.size + symbols[best.right].size != best.size)
        continue;
      kept.size = best.size;
      kept.id = best.id;
      symbols[best.right].size = 0;
      next_[left] = next_[best.right];
      if (next_[left] != none)
        previous_[next_[left]] = left;
      if (previous_[left] != none && consider(previous_[left], left, join))
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
      if (next_[left] != none && consider(left, next_[left], join))
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
    }
  }

private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  struct candidate {
    std::uint64_t order; ///< rank, then position of the left symbol
    std::uint32_t right, size;
    token_id id;
    bool operator>(const candidate& other) const noexcept { return order > other.order; }
  };

  /// Appends the pair to the heap's vector if it can be joined.
  template <class Join> bool consider(std::uint32_t left, std::uint32_t right, const Join& join) {
    const auto joined = join(symbols[left], symbols[right]);
    if (joined)
      heap_.push_back({std::uint64_t{joined->rank} << 32 | left, right,
                       symbols[left].size + symbols[right].size, joined->id});
    return joined.has_value();
  }

  std::vector<std::uint32_t> next_, previous_;
  std::vector<candidate> heap_;
};

} // namespace bitnetd::engine
