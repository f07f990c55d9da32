// SPDX-License-Identifier: MIT
#include "engine/attention.h"

#include "engine/parallel.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace bitnetd::engine {

namespace {

constexpr std::size_t max_head_dim = 1024; // model files are refused beyond it
constexpr std::size_t part_pages = attention_part_positions / page_tokens;

/// Writes n dimensions of one key into the column of its slot.
template <class T> void scatter(const T* from, std::size_t n, std::byte* keys, std::size_t slot) {
  auto* to = reinterpret_cast<T*>(keys) + slot;
  for (std::size_t d = 0; d < n; ++d)
    to[d * page_tokens] = from[d];
}

void store_floats(std::size_t dim, std::size_t slot, const float* key, const float* value,
                  std::byte* keys, std::byte* values) {
  scatter(key, dim, keys, slot);
  std::copy_n(value, dim, reinterpret_cast<float*>(values) + slot * dim);
}

void store_halves(std::size_t dim, std::size_t slot, const float* key, const float* value,
                  std::byte* keys, std::byte* values, const kernel_table& kernels) {
  kernels.to_half(value, dim, reinterpret_cast<std::uint16_t*>(values) + slot * dim);
  std::array<std::uint16_t, 64> halves;
  for (std::size_t d = 0; d < dim; d += halves.size()) {
    const auto n = std::min(halves.size(), dim - d);
    kernels.to_half(key + d, n, halves.data());
    scatter(halves.data(), n, keys + d * page_tokens * sizeof(std::uint16_t), slot);
  }
}

/// Codes as the quantizer of activations makes them; what is kept beside is the factor back.
void store_codes(std::size_t dim, std::size_t slot, const float* key, const float* value,
                 std::byte* keys, std::byte* values, const kernel_table& kernels) {
  constexpr auto scales_bytes = page_tokens * sizeof(float);
  std::array<std::int8_t, max_head_dim> codes;
  assert(dim <= codes.size());
  const auto key_codes = kernels.quantize_absmax(key, dim, dim, codes.data());
  scatter(codes.data(), dim, keys + scales_bytes, slot);
  const auto value_codes = kernels.quantize_absmax(
      value, dim, dim, reinterpret_cast<std::int8_t*>(values + scales_bytes) + slot * dim);
  reinterpret_cast<float*>(keys)[slot] = 1.0f / key_codes.scale;
  reinterpret_cast<float*>(values)[slot] = 1.0f / value_codes.scale;
}

} // namespace

void store_kv(const kv_shape& shape, std::size_t slot, std::span<const float> key,
              std::span<const float> value, std::byte* key_block, std::byte* value_block,
              const kernel_table& kernels) {
  assert(slot < page_tokens && key.size() == shape.width() && value.size() == shape.width());
  for (std::size_t head = 0; head < shape.n_head_kv; ++head) {
    const auto* k = key.data() + head * shape.head_dim;
    const auto* v = value.data() + head * shape.head_dim;
    auto* keys = key_block + head * shape.head_bytes();
    auto* values = value_block + head * shape.head_bytes();
    switch (shape.type) {
    case kv_type::f32:
      store_floats(shape.head_dim, slot, k, v, keys, values);
      break;
    case kv_type::f16:
      store_halves(shape.head_dim, slot, k, v, keys, values, kernels);
      break;
    case kv_type::q8:
      store_codes(shape.head_dim, slot, k, v, keys, values, kernels);
      break;
    }
  }
}

/// The queries of one unit, and what is done with them.
class attention::unit_view {
public:
  unit_view(const attention& owner, const unit& u, const float* q)
      : shape_{owner.shape_}, unit_{u}, head_kv_{u.head / (owner.n_head_ / shape_.n_head_kv)},
        window_{owner.window_}, scale_{1.0f / std::sqrt(static_cast<float>(shape_.head_dim))} {
    for (std::size_t i = 0; i < n_queries(); ++i) {
      const auto row = u.sequence->first_row + u.row + i / u.n_heads;
      offsets_[i] = (row * owner.n_head_ + u.head + i % u.n_heads) * shape_.head_dim;
      queries_[i] = q + offsets_[i];
    }
  }

  using pointers = std::array<float*, max_queries>;

  /// Where the results belong.
  [[nodiscard]] pointers in_output(float* out) const noexcept {
    pointers rows{};
    for (std::size_t i = 0; i < n_queries(); ++i)
      rows[i] = out + offsets_[i];
    return rows;
  }

  /// Rows of scratch memory [max_queries, head_dim].
  [[nodiscard]] pointers in_scratch(float* scratch) const noexcept {
    pointers rows{};
    for (std::size_t i = 0; i < n_queries(); ++i)
      rows[i] = scratch + i * shape_.head_dim;
    return rows;
  }

  /// Attention over one part of the positions, counted from the first that is not hidden.
  void compute(std::size_t part, partial& result, const pointers& out,
               const kernel_table& kernels) const {
    part += unit_.hidden_parts;
    const auto first_page = part * part_pages;
    const auto first_position = part * attention_part_positions;
    const auto head_bytes = shape_.head_bytes();
    const auto& s = *unit_.sequence;
    std::array<const void*, part_pages> keys{}, values{};
    for (std::size_t i = 0; i < part_pages && first_page + i < s.key_blocks.size(); ++i) {
      keys[i] = s.key_blocks[first_page + i] + head_kv_ * head_bytes;
      values[i] = s.value_blocks[first_page + i] + head_kv_ * head_bytes;
    }
    for (std::size_t i = 0; i < n_queries(); ++i) {
      const auto sees = s.first_position + unit_.row + i / unit_.n_heads + 1;
      const auto hidden = window_ != 0 && sees > window_ ? sees - window_ : 0;
      const auto in_part = [&](std::size_t position) {
        return position > first_position
                   ? std::min(position - first_position, attention_part_positions)
                   : 0;
      };
      result.n_visible[i] = in_part(sees);
      result.n_hidden[i] = in_part(hidden);
    }
    const auto kernel = shape_.type == kv_type::f32   ? kernels.attention_f32
                        : shape_.type == kv_type::f16 ? kernels.attention_f16
                                                      : kernels.attention_q8;
    kernel({queries_.data(), result.n_visible.data(), result.n_hidden.data(), n_queries(),
            shape_.head_dim, keys.data(), values.data(), scale_, result.max.data(),
            result.sum.data(), out.data()});
  }

  /// Adds a later part to what is there; where nothing is (a window has left it behind), the part
  /// is the beginning.
  void merge(partial& result, const pointers& out, const partial& part, const pointers& part_out,
             const kernel_table& kernels) const {
    for (std::size_t i = 0; i < n_queries(); ++i)
      if (part.is_empty(i))
        continue;
      else if (result.is_empty(i))
        begin(result, out, part, part_out, i);
      else
        kernels.attention_merge(&result.max[i], &result.sum[i], out[i], part.max[i], part.sum[i],
                                part_out[i], shape_.head_dim);
  }

  void begin(partial& result, const pointers& out, const partial& part, const pointers& part_out,
             std::size_t i) const {
    result.max[i] = part.max[i];
    result.sum[i] = part.sum[i];
    result.n_visible[i] = part.n_visible[i];
    result.n_hidden[i] = part.n_hidden[i];
    std::copy_n(part_out[i], shape_.head_dim, out[i]);
  }

  void copy(const pointers& from, const pointers& to) const {
    for (std::size_t i = 0; i < n_queries(); ++i)
      std::copy_n(from[i], shape_.head_dim, to[i]);
  }

  void divide_by_sum(const partial& result, const pointers& out) const {
    for (std::size_t i = 0; i < n_queries(); ++i)
      for (std::size_t d = 0; d < shape_.head_dim; ++d)
        out[i][d] /= result.sum[i];
  }

private:
  [[nodiscard]] std::size_t n_queries() const noexcept { return unit_.n_rows * unit_.n_heads; }

  const kv_shape& shape_;
  const unit& unit_;
  std::size_t head_kv_, window_;
  float scale_;
  std::array<const float*, max_queries> queries_{};
  std::array<std::size_t, max_queries> offsets_{};
};

attention::attention(const kv_shape& shape, std::size_t n_head) : shape_{shape}, n_head_{n_head} {
  assert(shape.n_head_kv > 0 && n_head % shape.n_head_kv == 0);
}

/// Fills units_; returns how many parts they have together.
std::size_t attention::list_units(std::span<const attention_rows> sequences) {
  units_.clear();
  const auto group = n_head_ / shape_.n_head_kv;
  const auto heads_at_once = std::min(group, max_queries);
  const auto rows_at_once = max_queries / heads_at_once;
  std::size_t n_parts = 0;
  for (const auto& s : sequences) {
    assert(s.first_position + s.n_rows <= s.key_blocks.size() * page_tokens &&
           s.key_blocks.size() == s.value_blocks.size());
    for (std::size_t row = 0; row < s.n_rows; row += rows_at_once)
      for (std::size_t group_head = 0; group_head < n_head_; group_head += group)
        for (std::size_t head = 0; head < group; head += heads_at_once) {
          const auto n_rows = std::min(rows_at_once, s.n_rows - row);
          const auto sees = s.first_position + row + n_rows;
          const auto first_sees = s.first_position + row + 1;
          const auto hidden_parts = window_ != 0 && first_sees > window_
                                        ? (first_sees - window_) / attention_part_positions
                                        : 0;
          const auto parts =
              (sees + attention_part_positions - 1) / attention_part_positions - hidden_parts;
          units_.push_back({&s, row, n_rows, group_head + head,
                            std::min(heads_at_once, group - head), parts, n_parts, hidden_parts});
          n_parts += parts;
        }
  }
  return n_parts;
}

void attention::apply(std::span<const attention_rows> sequences, std::span<const float> q,
                      std::span<float> out, const compute_context& on, std::size_t window) {
  window_ = window;
  const auto n_parts = list_units(sequences);
  // Few units with many parts: one sequence, far into its context. Both ways compute the same
  // parts and merge them in the same order.
  const bool enough_units = units_.size() >= 4 * on.node.threads();
  if (enough_units || n_parts == units_.size())
    apply_whole(n_parts, q.data(), out.data(), on);
  else
    apply_in_parts(n_parts, q.data(), out.data(), on);
}

void attention::apply_whole(std::size_t n_parts, const float* q, float* out,
                            const compute_context& on) const {
  const auto part_ns = attention_part_positions * shape_.head_dim / 4; // four queries, usually
  const auto unit_ns = part_ns * n_parts / std::max<std::size_t>(1, units_.size());
  for_blocks(on.node, units_.size(), 1, unit_ns, [&](std::size_t from, std::size_t to) {
    for (auto i = from; i < to; ++i) {
      const unit_view view{*this, units_[i], q};
      const auto rows = view.in_output(out);
      partial result, part;
      view.compute(0, result, rows, on.kernels);
      std::vector<float> scratch(units_[i].n_parts > 1 ? max_queries * shape_.head_dim : 0);
      for (std::size_t p = 1; p < units_[i].n_parts; ++p) {
        const auto part_rows = view.in_scratch(scratch.data());
        view.compute(p, part, part_rows, on.kernels);
        view.merge(result, rows, part, part_rows, on.kernels);
      }
      view.divide_by_sum(result, rows);
    }
  });
}

void attention::apply_in_parts(std::size_t n_parts, const float* q, float* out,
                               const compute_context& on) {
  const auto part_values = max_queries * shape_.head_dim;
  part_results_.resize(std::max(part_results_.size(), n_parts * part_values));
  partials_.resize(std::max(partials_.size(), n_parts));
  unit_of_part_.clear();
  for (const auto& u : units_)
    unit_of_part_.insert(unit_of_part_.end(), u.n_parts, &u);

  const auto part_ns = attention_part_positions * shape_.head_dim / 4;
  for_blocks(on.node, n_parts, 1, part_ns, [&](std::size_t from, std::size_t to) {
    for (auto i = from; i < to; ++i) {
      const auto& u = *unit_of_part_[i];
      const unit_view view{*this, u, q};
      view.compute(i - u.first_part, partials_[i],
                   view.in_scratch(part_results_.data() + i * part_values), on.kernels);
    }
  });
  for (const auto& u : units_) {
    const unit_view view{*this, u, q};
    const auto rows = view.in_output(out);
    const auto part_rows = [&](std::size_t p) {
      return view.in_scratch(part_results_.data() + (u.first_part + p) * part_values);
    };
    auto result = partials_[u.first_part];
    view.copy(part_rows(0), rows);
    for (std::size_t p = 1; p < u.n_parts; ++p)
      view.merge(result, rows, partials_[u.first_part + p], part_rows(p), on.kernels);
    view.divide_by_sum(result, rows);
  }
}

} // namespace bitnetd::engine
