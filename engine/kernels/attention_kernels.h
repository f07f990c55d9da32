// SPDX-License-Identifier: MIT
#pragma once

// Attention over pages of one instruction set, written once for all of them as the other float
// kernels are (float_kernels.h, which includes this). C headers and intrinsics only.
#include "engine/kernels/float_lanes.h"
#include "engine/kernels/kernel_functions.h"

namespace bitnetd::engine {
namespace {

constexpr size_t page_positions = 32;
/// Queries that share one pass over keys and values: the more, the fewer conversions from halves,
/// within what the registers hold.
constexpr size_t tile_queries = width == 16 ? 8 : width == 8 ? 2 : 1;
/// Vectors of positions (for values, of dimensions) at a time: two chains of sums each for scores,
/// and enough chains for the latency of an addition whatever the number of queries.
template <size_t Queries> constexpr size_t score_vectors = Queries > 4 ? 1 : 2;
constexpr size_t value_vectors = 2;

/// Codes have a scale per position before them (attention_part); floats and halves have none.
template <class T> constexpr bool has_scales = sizeof(T) == 1;

template <class T> inline const T* values_of(const void* page) {
  return (const T*)((const char*)page + (has_scales<T> ? page_positions * sizeof(float) : 0));
}

/// What is read after a page of keys: its values, and the next page of keys. Brought into the
/// second-level cache meanwhile, because attention reads short pieces and the hardware begins anew
/// with each of them.
struct read_next {
  const char *keys, *values;

  void lines(size_t from, size_t to) const {
    for (; from < to; from += 64) {
      __builtin_prefetch(keys + from, 0, 2);
      __builtin_prefetch(values + from, 0, 2);
    }
  }
};

/// Scores of `Queries` queries with all positions of one page. Even and odd dimensions are summed
/// apart, in ascending order.
template <size_t Queries, class T>
inline void page_scores(const float* const* queries, size_t head_dim, const void* page, float scale,
                        const read_next* next, float (*scores)[attention_part_positions],
                        size_t first) {
  const T* keys = values_of<T>(page);
  constexpr size_t tile_vectors = score_vectors<Queries>;
  for (size_t at = 0; at < page_positions; at += tile_vectors * width) {
    floats sums[2][Queries][tile_vectors] = {};
    const auto add = [&](size_t d, size_t chain) __attribute__((always_inline)) {
      for (size_t v = 0; v < tile_vectors; ++v) {
        const floats k = load_floats(keys + d * page_positions + at + v * width);
        for (size_t q = 0; q < Queries; ++q)
          sums[chain][q][v] = fused(k, queries[q][d] - floats{}, sums[chain][q][v]);
      }
    };
    size_t d = 0;
    for (; d + 2 <= head_dim; d += 2) {
      if (next != nullptr && at == 0)
        next->lines(d * page_positions * sizeof(T), (d + 2) * page_positions * sizeof(T));
      add(d, 0);
      add(d + 1, 1);
    }
    if (d < head_dim)
      add(d, 0);
    for (size_t v = 0; v < tile_vectors; ++v) {
      floats factor = scale - floats{};
      if constexpr (has_scales<T>)
        factor *= load<floats>((const float*)page + at + v * width);
      for (size_t q = 0; q < Queries; ++q)
        store(scores[q] + first + at + v * width, (sums[0][q][v] + sums[1][q][v]) * factor);
    }
  }
}

/// Turns scores [from, n) of one query into exp(score - max), those before into 0; returns max and
/// sum.
inline void part_softmax(float* scores, size_t from, size_t n, float& max, float& sum) {
  const size_t end = (n + lanes - 1) / lanes * lanes;
  for (size_t i = 0; i < from; ++i)
    scores[i] = -__builtin_inff();
  for (size_t i = n; i < end; ++i)
    scores[i] = -__builtin_inff();
  // Lane by lane: the largest is the same in any order (a NaN shows in the sum).
  float_sums most;
  for (size_t p = 0; p < n_parts; ++p)
    most.part[p] = load<floats>(scores + p * width);
  for (size_t i = lanes; i < end; i += lanes)
    for (size_t p = 0; p < n_parts; ++p) {
      const floats v = load<floats>(scores + i + p * width);
      most.part[p] = v > most.part[p] ? v : most.part[p];
    }
  max = largest_of(most.part[0]);
  for (size_t p = 1; p < n_parts; ++p) {
    const float largest = largest_of(most.part[p]);
    max = largest > max ? largest : max;
  }
  float_sums sums = {};
  for (size_t i = 0; i < end; i += lanes)
    for (size_t p = 0; p < n_parts; ++p) {
      const floats e = exponential(load<floats>(scores + i + p * width) - max);
      store(scores + i + p * width, e);
      sums.part[p] += e;
    }
  sum = sum_of(sums);
}

/// Multiplies the weights of positions [from, n) by the scales of their values, whole pages at a
/// time: what is not visible is not read afterwards.
inline void scale_weights(const void* const* pages, size_t from, size_t n, float* weights) {
  for (size_t page = from / page_positions; page * page_positions < n; ++page)
    for (size_t i = 0; i < page_positions; i += width) {
      float* at = weights + page * page_positions + i;
      store(at, load<floats>(at) * load<floats>((const float*)pages[page] + i));
    }
}

/// out[q][d] += sum over positions [from, to) of weight * value, positions in ascending order.
template <size_t Queries, class T>
inline void add_values(const void* const* pages, size_t head_dim,
                       const float (*weights)[attention_part_positions], size_t from, size_t to,
                       float* const* out) {
  const auto row_of = [&](size_t j) __attribute__((always_inline)) {
    return values_of<T>(pages[j / page_positions]) + j % page_positions * head_dim;
  };
  constexpr size_t group = value_vectors * width;
  size_t d = 0;
  for (; d + group <= head_dim; d += group) {
    floats sums[Queries][value_vectors];
    for (size_t q = 0; q < Queries; ++q)
      for (size_t v = 0; v < value_vectors; ++v)
        sums[q][v] = load<floats>(out[q] + d + v * width);
    for (size_t j = from; j < to; ++j) {
      const T* row = row_of(j) + d;
      for (size_t v = 0; v < value_vectors; ++v) {
        const floats value = load_floats(row + v * width);
        for (size_t q = 0; q < Queries; ++q)
          sums[q][v] = fused(value, weights[q][j] - floats{}, sums[q][v]);
      }
    }
    for (size_t q = 0; q < Queries; ++q)
      for (size_t v = 0; v < value_vectors; ++v)
        store(out[q] + d + v * width, sums[q][v]);
  }
  for (; d < head_dim; ++d)
    for (size_t q = 0; q < Queries; ++q) {
      float sum = out[q][d];
      for (size_t j = from; j < to; ++j)
        sum = fused(to_float(row_of(j)[d]), weights[q][j], sum);
      out[q][d] = sum;
    }
}

template <size_t Queries, class T> inline void attend(const attention_part& part, size_t first) {
  alignas(64) float scores[Queries][attention_part_positions];
  const auto* queries = part.queries + first;
  const auto* n_visible = part.n_visible + first;
  const auto* n_hidden = part.n_hidden + first;
  size_t most = 0, least = attention_part_positions;
  size_t most_hidden = 0, least_hidden = attention_part_positions;
  for (size_t q = 0; q < Queries; ++q) {
    most = n_visible[q] > most ? n_visible[q] : most;
    least = n_visible[q] < least ? n_visible[q] : least;
    most_hidden = n_hidden[q] > most_hidden ? n_hidden[q] : most_hidden;
    least_hidden = n_hidden[q] < least_hidden ? n_hidden[q] : least_hidden;
  }
  for (size_t j = least_hidden / page_positions * page_positions; j < most; j += page_positions) {
    const size_t page = j / page_positions, after = j + page_positions < most ? page + 1 : page;
    const read_next next = {(const char*)part.keys[after], (const char*)part.values[page]};
    page_scores<Queries, T>(queries, part.head_dim, part.keys[page], part.scale,
                            first == 0 ? &next : nullptr, scores, j);
  }
  for (size_t q = 0; q < Queries; ++q) {
    part.sum[first + q] = 0;
    if (n_visible[q] > n_hidden[q]) {
      part_softmax(scores[q], n_hidden[q], n_visible[q], part.max[first + q], part.sum[first + q]);
      if constexpr (has_scales<T>)
        scale_weights(part.values, n_hidden[q], n_visible[q], scores[q]);
    }
    __builtin_memset(part.out[first + q], 0, part.head_dim * sizeof(float));
  }
  // What all of them see in one pass; the rest one by one, so that nothing a query may not see
  // (a NaN, for one) can touch its sums.
  const size_t shared_from = most_hidden, shared_to = least > most_hidden ? least : most_hidden;
  const auto add_alone = [&](size_t q, size_t from, size_t to) {
    from = from > n_hidden[q] ? from : n_hidden[q];
    to = to < n_visible[q] ? to : n_visible[q];
    if (from < to)
      add_values<1, T>(part.values, part.head_dim, scores + q, from, to, part.out + first + q);
  };
  if (least_hidden < shared_from)
    for (size_t q = 0; q < Queries; ++q)
      add_alone(q, 0, shared_from);
  add_values<Queries, T>(part.values, part.head_dim, scores, shared_from, shared_to,
                         part.out + first);
  for (size_t q = 0; q < Queries; ++q)
    add_alone(q, shared_to, attention_part_positions);
}

template <class T> inline void attention_all(const attention_part& part) {
  size_t first = 0;
  for (; first + tile_queries <= part.n_queries; first += tile_queries)
    attend<tile_queries, T>(part, first);
  if constexpr (tile_queries > 4)
    for (; first + 4 <= part.n_queries; first += 4)
      attend<4, T>(part, first);
  for (; first < part.n_queries; ++first)
    attend<1, T>(part, first);
}

void attention_f32(const attention_part& part) noexcept { attention_all<float>(part); }
void attention_f16(const attention_part& part) noexcept { attention_all<uint16_t>(part); }
void attention_q8(const attention_part& part) noexcept { attention_all<int8_t>(part); }

void attention_merge(float* max, float* sum, float* out, float part_max, float part_sum,
                     const float* part_out, size_t head_dim) noexcept {
  const float top = part_max > *max ? part_max : *max;
  const floats factors = exponential(floats{*max - top, part_max - top});
  const float old_factor = factors[0], new_factor = factors[1];
  for (size_t d = 0; d < head_dim; ++d)
    out[d] = out[d] * old_factor + part_out[d] * new_factor;
  *sum = *sum * old_factor + part_sum * new_factor;
  *max = top;
}

} // namespace
} // namespace bitnetd::engine
