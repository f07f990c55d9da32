// SPDX-License-Identifier: MIT
#include "engine/forward_state.h"
#include "engine/parallel.h"

#include <algorithm>

namespace bitnetd::engine {

/// x' = h + FFN(h),  h = x + Attention(x)
void forward_pass::state::layer(std::size_t index) {
  attention_block(index);
  ffn_block(index);
}

void forward_pass::state::attention_block(std::size_t index) {
  const auto& w = all->layers[index];

  prepare(index, used(x, shape.n_embd), shape.n_embd, w.attn_norm,
          {&w.q_norm_in, &w.k_norm_in, &w.v_norm_in});
  const std::array<product, 3> qkv{project(index, operation::qkv, w.q, 0, q),
                                   project(index, operation::qkv, w.k, 1, k),
                                   project(index, operation::qkv, w.v, 2, v)};
  measured(index, operation::qkv, [&] { multiply(qkv, on); });

  if (shape.head_norms)
    norm_heads(index, w);
  measured(index, operation::rope, [&] { turn_and_store(index); });
  measured(index, operation::attention, [&] {
    find_blocks(index);
    attend.apply(sequences, used(q, q_width), used(heads, q_width), on, window_of(index));
  });
  count_attention(cost(index, operation::attention), window_of(index));

  prepare(index, used(heads, q_width), q_width, w.attn_sub_norm, {&w.attn_output_norm_in});
  add_to_residual(index, operation::attn_output, w.attn_output, w.post_attention_norm);
}

void forward_pass::state::ffn_block(std::size_t index) {
  const auto& w = all->layers[index];

  prepare(index, used(x, shape.n_embd), shape.n_embd, w.ffn_norm, {&w.gate_norm_in, &w.up_norm_in});
  const auto gate = project(index, operation::gate_up, w.gate, 0, gated);
  const auto up = project(index, operation::gate_up, w.up, 1, gated);
  measured(index, operation::gate_up,
           [&] { multiply_gated(gate, up, activation_kernel(shape.gate, on.kernels), on); });

  prepare(index, used(gated, shape.n_ff), shape.n_ff, w.ffn_sub_norm, {&w.down_norm_in});
  add_to_residual(index, operation::ffn_down, w.down, w.post_ffw_norm);
}

/// The inputs of the projections that follow: `from`, normalised where the family does so here (no
/// norm: an empty one), then by each projection's own norm where it has one.
void forward_pass::state::prepare(std::size_t layer_index, std::span<const float> from,
                                  std::size_t cols, const std::vector<float>& norm,
                                  std::initializer_list<const std::vector<float>*> own_norms) {
  const auto n = rows.size();
  const auto fill = [&](linear_input& input, std::span<const float> values,
                        const std::vector<float>& weight) {
    measured(layer_index, operation::quantize, [&] {
      if (weight.empty()) {
        input.assign(values, n, cols, activations);
        input.quantize(on);
      } else {
        input.assign_normalised(values, n, cols, weight, shape.rms_eps, activations, on);
      }
    });
  };
  if (!shape.input_norms) {
    fill(inputs.front(), from, norm);
    return;
  }
  if (!norm.empty()) {
    const auto out = used(normed, cols);
    measured(layer_index, operation::norm,
             [&] { rms_norm(from, n, cols, norm, shape.rms_eps, out, on); });
    from = out;
  }
  auto* input = inputs.begin();
  for (const auto* own : own_norms)
    fill(*input++, from, *own);
}

/// One projection of a phase, its cost counted.
product forward_pass::state::project(std::size_t layer_index, operation op, const linear& matrix,
                                     std::size_t input, node_floats& out) {
  matrix.add_cost(rows.size(), cost(layer_index, op));
  return {&matrix, &inputs[shape.input_norms ? input : 0], used(out, matrix.rows())};
}

/// q and k of every head, before RoPE.
void forward_pass::state::norm_heads(std::size_t index, const layer_weights& w) {
  measured(index, operation::norm, [&] {
    const auto all_q = used(q, q_width), all_k = used(k, kv_width);
    rms_norm(all_q, rows.size() * shape.n_head, shape.head_dim, w.q_norm, shape.rms_eps, all_q, on);
    rms_norm(all_k, rows.size() * shape.n_head_kv, shape.head_dim, w.k_norm, shape.rms_eps, all_k,
             on);
  });
}

/// x += W input, normed first where the family does so.
void forward_pass::state::add_to_residual(std::size_t layer_index, operation op,
                                          const linear& matrix,
                                          const std::vector<float>& post_norm) {
  if (post_norm.empty()) {
    const auto one = project(layer_index, op, matrix, 0, x);
    measured(layer_index, op, [&] { multiply_add(one, on); });
    return;
  }
  const auto one = project(layer_index, op, matrix, 0, projected);
  measured(layer_index, op, [&] { multiply({&one, 1}, on); });
  measured(layer_index, operation::norm, [&] {
    rms_norm(one.out, rows.size(), shape.n_embd, post_norm, shape.rms_eps, one.out, on);
  });
  measured(layer_index, op, [&] { add_in_place(used(x, shape.n_embd), one.out, on); });
}

/// Turns every row's queries and keys by its position, and puts keys and values into their pages.
void forward_pass::state::turn_and_store(std::size_t index) {
  constexpr std::size_t row_ns = 4'000; // most of it waiting for memory that keys are written to
  auto& turn = shape.is_global(index) ? rope : rope_local;
  turn.need(positions);
  const auto do_row = [&](std::size_t i) {
    const auto position = rows[i].position;
    const auto key = k.all().subspan(i * kv_width, kv_width);
    turn.apply(q.all().subspan(i * q_width, q_width), shape.head_dim, position, on.kernels);
    turn.apply(key, shape.head_dim, position, on.kernels);
    const auto page = rows[i].pages[position / page_tokens];
    store_kv(pages, position % page_tokens, key, v.all().subspan(i * kv_width, kv_width),
             cache.keys(index, page), cache.values(index, page), on.kernels);
  };
  // Rows of one page share cache lines: those of a prompt go in chunks of a page's worth.
  const auto at_once = rows.size() > sequences.size() ? page_tokens : 1;
  for_blocks(on.node, rows.size(), at_once, row_ns, [&](std::size_t from, std::size_t to) {
    for (auto i = from; i < to; ++i)
      do_row(i);
  });
}

/// Notes the blocks that attention reads.
void forward_pass::state::find_blocks(std::size_t index) {
  key_blocks.clear();
  value_blocks.clear();
  for (const auto& part : sequences) {
    const auto n = pages_for(part.first_position + part.n_rows);
    for (const auto page : rows[part.first_row].pages.first(n)) {
      key_blocks.push_back(cache.keys(index, page));
      value_blocks.push_back(cache.values(index, page));
    }
  }
  std::size_t at = 0;
  for (auto& part : sequences) { // only now: the vectors have stopped growing
    const auto n = pages_for(part.first_position + part.n_rows);
    part.key_blocks = std::span{key_blocks}.subspan(at, n);
    part.value_blocks = std::span{value_blocks}.subspan(at, n);
    at += n;
  }
}

/// Keys and values are counted once per sequence and step: a chunk's rows share what they read.
void forward_pass::state::count_attention(operation_cost& to, std::size_t window) const {
  for (const auto& part : sequences) {
    const auto end = part.first_position + part.n_rows;
    const auto most = window == 0 ? end : window; // that one row sees
    const auto context = std::min(end, most + part.n_rows - 1);
    to.kv_bytes += 2 * context * (pages.block_bytes() / page_tokens);
    for (std::size_t i = 0; i < part.n_rows; ++i)
      to.multiplications += 2 * std::min(part.first_position + i + 1, most) * q_width;
  }
}

} // namespace bitnetd::engine
