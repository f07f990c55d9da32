// SPDX-License-Identifier: MIT
#include "engine/forward.h"

#include "engine/forward_state.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace bitnetd::engine {

forward_pass::state::state(std::shared_ptr<const model> what, std::shared_ptr<const weights> layers,
                           kv_cache& keys, compute_node& node, const kernel_table& kernels,
                           const forward_options& how)
    : description{std::move(what)}, all{std::move(layers)}, cache{keys}, on{node, kernels},
      options{how}, activations{how.activations.value_or(description->shape.activations)},
      shape{description->shape}, q_width{std::size_t{shape.n_head} * shape.head_dim},
      kv_width{shape.kv_width()}, pages{cache.type(), shape.n_head_kv, shape.head_dim},
      attend{pages, shape.n_head}, rope{shape.rope_dims, shape.rope_theta, shape.rope_scale,
                                        shape.rope},
      rope_local{shape.rope_dims, shape.rope_theta_local, 1.0f, shape.rope} {
  counters.layers.assign(shape.n_layer + 1, std::vector<operation_cost>(n_operations));
  const auto n = options.max_rows;
  for (auto* one : {&x, &outputs})
    *one = buffer(n, shape.n_embd);
  for (auto* one : {&q, &heads})
    *one = buffer(n, q_width);
  for (auto* one : {&k, &v})
    *one = buffer(n, kv_width);
  gated = buffer(n, shape.n_ff);
  if (shape.post_norms)
    projected = buffer(n, shape.n_embd);
  if (shape.input_norms)
    normed = buffer(n, std::max({std::size_t{shape.n_embd}, q_width, std::size_t{shape.n_ff}}));
  logits = buffer(options.max_logit_rows, shape.n_vocab);
  positions.reserve(options.max_rows);
  output_index.reserve(options.max_rows);
  sequences.reserve(options.max_rows);
  queries.reserve(options.max_logit_rows);
  answers.reserve(options.max_logit_rows);
}

/// Notes what the step consists of: positions, sequences, and where outputs go (those with all
/// logits first, then those with a query, so that the head runs over neighbours).
void forward_pass::state::begin(std::span<const step_row> step) {
  assert(!step.empty() && step.size() <= options.max_rows);
  rows = step;
  positions.clear();
  sequences.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    assert(row.position / page_tokens < row.pages.size());
    positions.push_back(row.position);
    const bool starts = i == 0 || row.pages.data() != rows[i - 1].pages.data();
    assert(starts || row.position == rows[i - 1].position + 1);
    if (starts)
      sequences.push_back({.first_row = i,
                           .n_rows = 0,
                           .first_position = row.position,
                           .key_blocks = {},
                           .value_blocks = {}});
    ++sequences.back().n_rows;
  }
  output_index.assign(rows.size(), no_output);
  n_outputs = 0;
  queries.clear();
  const bool screens = may_screen();
  const auto take = [&](auto&& wanted) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (wanted(rows[i]))
        output_index[i] = n_outputs++;
  };
  const auto asks = [&](const step_row& row) { return screens && row.query != nullptr; };
  take([&](auto& row) { return row.output == row_output::logits && !asks(row); });
  n_full = n_outputs;
  take([&](auto& row) {
    if (row.output != row_output::logits || !asks(row))
      return false;
    queries.push_back(row.query);
    return true;
  });
  n_logits = n_outputs;
  take([](auto& row) { return row.output == row_output::hidden; });
  answers.resize(n_logits);
  for (auto& one : answers)
    one.reset();
  assert(n_logits <= options.max_logit_rows);
  ++counters.steps;
  counters.tokens += rows.size();
}

/// x = E[token], scaled where the family does so
void forward_pass::state::embed() {
  measured(shape.n_layer, operation::embed, [&] {
    for (std::size_t i = 0; i < rows.size(); ++i)
      all->embedding.decode_row(static_cast<std::size_t>(rows[i].token),
                                x.all().subspan(i * shape.n_embd, shape.n_embd), on.kernels);
    if (shape.embed_scale != 1.0f)
      for (auto& value : used(x, shape.n_embd))
        value *= shape.embed_scale;
  });
  cost(shape.n_layer, operation::embed).weight_bytes +=
      rows.size() * all->embedding.weight_bytes() / shape.n_vocab;
}

forward_pass::forward_pass(std::shared_ptr<const model> description,
                           std::shared_ptr<const weights> layers, kv_cache& cache,
                           compute_node& node, const kernel_table& kernels,
                           const forward_options& options)
    : state_{std::make_unique<state>(std::move(description), std::move(layers), cache, node,
                                     kernels, options)} {}
forward_pass::~forward_pass() = default;
forward_pass::forward_pass(forward_pass&&) noexcept = default;

void forward_pass::run(std::span<const step_row> rows, const std::function<void()>& then) {
  auto& s = *state_;
  s.begin(rows);
  s.on.node.run([&] {
    s.embed();
    for (std::size_t i = 0; i < s.shape.n_layer; ++i)
      s.layer(i);
    s.head();
    if (then)
      then();
  });
  s.rows = {};
}

void forward_pass::run_layer(std::size_t index, std::span<const step_row> rows,
                             std::span<float> x) {
  auto& s = *state_;
  s.begin(rows);
  const auto own = s.used(s.x, s.shape.n_embd);
  assert(x.size() == own.size());
  std::ranges::copy(x, own.begin());
  s.on.node.run([&] { s.layer(index); });
  std::ranges::copy(own, x.begin());
  s.rows = {};
}

const head_answer* forward_pass::answer(std::size_t row) const {
  const auto& s = *state_;
  assert(row < s.output_index.size() && s.output_index[row] < s.n_logits);
  const auto& found = s.answers[s.output_index[row]];
  return found ? &*found : nullptr;
}

std::span<const float> forward_pass::logits(std::size_t row) const {
  const auto& s = *state_;
  assert(answer(row) == nullptr);
  assert(row < s.output_index.size() && s.output_index[row] < s.n_logits);
  return s.logits.all().subspan(s.output_index[row] * s.shape.n_vocab, s.shape.n_vocab);
}

std::span<const float> forward_pass::hidden(std::size_t row) const {
  const auto& s = *state_;
  assert(row < s.output_index.size() && s.output_index[row] < s.n_outputs);
  return s.outputs.all().subspan(s.output_index[row] * s.shape.n_embd, s.shape.n_embd);
}

activation_quantization forward_pass::activations() const noexcept { return state_->activations; }
std::size_t forward_pass::max_rows() const noexcept { return state_->options.max_rows; }
const telemetry& forward_pass::counters() const noexcept { return state_->counters; }
telemetry& forward_pass::counters() noexcept { return state_->counters; }

} // namespace bitnetd::engine
