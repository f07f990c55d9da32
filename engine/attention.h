// SPDX-License-Identifier: MIT
#pragma once

#include "engine/compute.h"
#include "engine/kv_cache.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitnetd::engine {

/// The keys, and apart from them the values, of one page and one layer are one block of memory:
///
///   keys     [n_head_kv][head_dim][32]   transposed: a vector holds one dimension of many tokens,
///                                        so that scores need no horizontal sums
///   values   [n_head_kv][32][head_dim]
///
/// of floats, halves or, with q8, codes of 8 bits, where each head begins with the scales of its 32
/// positions: 32 floats, then the codes, filled up to a multiple of 64 bytes. What a code stands
/// for is code * scale, and scale = max|x| / 127 over the head's values of the position. Position p
/// lies in page p / 32, slot p % 32. A block's size is a multiple of 64 bytes, and it should be
/// aligned to 64.
struct kv_shape {
  kv_type type = kv_type::f32;
  std::size_t n_head_kv = 0, head_dim = 0;

  /// Bytes of the keys (or of the values: the same) of one page and one layer.
  [[nodiscard]] std::size_t block_bytes() const noexcept { return n_head_kv * head_bytes(); }
  /// The part of it that one head has.
  [[nodiscard]] std::size_t head_bytes() const noexcept { return kv_head_bytes(type, head_dim); }
  [[nodiscard]] std::size_t width() const noexcept { return n_head_kv * head_dim; }
};

/// Writes one token's key and value (after RoPE) into slot 0..31 of a page's blocks of one layer.
/// With q8 a head that holds NaN or infinity becomes NaN as a whole.
///
/// Shapes   key, value [n_head_kv * head_dim]; key_block, value_block: kv_shape::block_bytes().
void store_kv(const kv_shape& shape, std::size_t slot, std::span<const float> key,
              std::span<const float> value, std::byte* key_block, std::byte* value_block,
              const kernel_table& kernels);

/// One sequence's rows of a step: consecutive tokens whose keys and values are stored already.
struct attention_rows {
  std::size_t first_row = 0, n_rows = 0; ///< rows of q and out
  std::size_t first_position = 0;        ///< of the first row; row i sees 0..first_position + i
  std::span<const std::byte* const> key_blocks;   ///< one per page, of this layer
  std::span<const std::byte* const> value_blocks; ///< as many
};

/// Causal attention over paged keys and values, with grouped heads: query head h reads KV head
/// h / (n_head / n_head_kv). One object serves all layers; it keeps scratch memory. One owner.
class attention {
public:
  attention(const kv_shape& shape, std::size_t n_head);

  ///   out[h] = sum_j softmax_j(q[h] . k[j] / sqrt(head_dim)) * v[j]
  ///
  /// A row at position p sees j <= p; with a `window`, only the last `window` of them.
  ///
  /// Shapes   q, out [n_rows, n_head * head_dim]; every row belongs to one of `sequences`.
  ///
  /// The positions of a sequence are cut every 256, at the same places for every row; each part is
  /// a softmax of its own, and parts are merged in ascending order. So a row's bits depend on its
  /// own keys and values only: not on the batch, the chunk it came in, threads or page addresses.
  void apply(std::span<const attention_rows> sequences, std::span<const float> q,
             std::span<float> out, const compute_context& on, std::size_t window = 0);

private:
  static constexpr std::size_t max_queries = 16;
  /// Neighbouring rows of one sequence and query heads of one KV head: what a thread computes at a
  /// time. Few enough that their sums stay in the first-level cache, enough to share the reading.
  struct unit {
    const attention_rows* sequence;
    std::size_t row, n_rows, head, n_heads;
    std::size_t n_parts;      ///< of 256 positions, up to the last that the last row sees
    std::size_t first_part;   ///< all units' parts numbered through
    std::size_t hidden_parts; ///< that lie before what the first row sees
  };
  /// What a part, or several merged, gave for each query of a unit.
  struct partial {
    std::array<float, max_queries> max, sum;
    std::array<std::size_t, max_queries> n_visible, n_hidden; ///< as kernels have them

    [[nodiscard]] bool is_empty(std::size_t query) const noexcept {
      return n_visible[query] <= n_hidden[query];
    }
  };
  class unit_view;

  [[nodiscard]] std::size_t list_units(std::span<const attention_rows> sequences);
  void apply_whole(std::size_t n_parts, const float* q, float* out,
                   const compute_context& on) const;
  void apply_in_parts(std::size_t n_parts, const float* q, float* out, const compute_context& on);

  kv_shape shape_;
  std::size_t n_head_, window_ = 0;
  std::vector<unit> units_;
  std::vector<const unit*> unit_of_part_;
  std::vector<partial> partials_;
  std::vector<float> part_results_;
};

} // namespace bitnetd::engine
