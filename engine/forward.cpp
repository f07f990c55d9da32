// SPDX-License-Identifier: MIT
#include "engine/forward.h"

#include "engine/attention.h"
#include "engine/head_screen.h"
#include "engine/linear.h"
#include "engine/ops.h"
#include "engine/weights_layout.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace bitnetd::engine {

namespace {

constexpr auto no_output = static_cast<std::size_t>(-1);

} // namespace

struct forward_pass::state {
  std::shared_ptr<const model> description;
  std::shared_ptr<const weights> all;
  kv_cache& cache;
  compute_context on;
  forward_options options;
  activation_quantization activations;
  const hyperparameters& shape;
  std::size_t q_width, kv_width;
  telemetry counters;

  // What operations keep between calls.
  kv_shape pages;
  attention attend;
  rope_table rope, rope_local;
  linear_input input;

  // Activations of a step, [max_rows, width] each; a step uses the first rows.
  std::vector<float> x, normed, q, k, v, heads, projected, gate, up;
  std::vector<float> own_input; ///< of a projection with a norm of its own
  std::vector<float> outputs;   ///< hidden states after output_norm of the rows that ask
  std::vector<float> logits;    ///< [max_logit_rows, n_vocab]

  // The step itself.
  std::span<const step_row> rows;
  std::vector<std::uint32_t> positions;
  std::vector<std::size_t> output_index; ///< row -> row of `outputs` (and `logits`), or no_output
  std::size_t n_full = 0, n_logits = 0,
              n_outputs = 0; ///< rows of `outputs`: whole, all logits, all
  screened_head screened;
  std::vector<const head_query*> queries;          ///< of rows n_full…n_logits-1
  std::vector<std::optional<head_answer>> answers; ///< [n_logits]; none: all logits are there
  std::size_t n_failed = 0, n_unscreened = 0;      ///< see may_screen
  std::vector<attention_rows> sequences;
  std::vector<const std::byte*> key_blocks, value_blocks; ///< of one layer, all sequences

  state(std::shared_ptr<const model> what, std::shared_ptr<const weights> layers, kv_cache& keys,
        compute_node& node, const kernel_table& kernels, const forward_options& how);

  void begin(std::span<const step_row> step);
  void embed();
  void layer(std::size_t index);
  void attention_block(std::size_t index);
  void ffn_block(std::size_t index);
  void head();
  void whole_head(std::size_t from, std::size_t to);
  void screen_head();
  [[nodiscard]] bool may_screen();

  void store(std::size_t index);
  void find_blocks(std::size_t index);
  void share_input(std::size_t layer_index, std::span<const float> from, std::size_t cols);
  void project(std::size_t layer_index, operation op, const linear& matrix,
               const std::vector<float>& norm_in, std::span<const float> from,
               std::vector<float>& out);
  void norm_heads(std::size_t layer_index, const layer_weights& w);
  void add_to_residual(std::size_t layer_index, operation op, const std::vector<float>& post_norm);
  void quantize(std::size_t layer_index, std::span<const float> from, std::size_t cols);
  void count_attention(operation_cost& cost, std::size_t window) const;
  /// How many positions a row of this layer sees; 0: all before it.
  [[nodiscard]] std::size_t window_of(std::size_t index) const {
    return shape.is_global(index) ? 0 : shape.window;
  }

  /// The first `rows.size()` rows of a buffer.
  [[nodiscard]] std::span<float> used(std::vector<float>& buffer, std::size_t width) const {
    return std::span{buffer}.first(rows.size() * width);
  }

  [[nodiscard]] operation_cost& cost(std::size_t layer_index, operation op) {
    return counters.layers[layer_index][static_cast<std::size_t>(op)];
  }

  /// Runs one operation and adds its time.
  template <class Body> void measured(std::size_t layer_index, operation op, Body&& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    cost(layer_index, op).nanoseconds += static_cast<std::uint64_t>(
        std::chrono::nanoseconds{std::chrono::steady_clock::now() - start}.count());
  }
};

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
  for (auto* buffer : {&x, &normed, &projected, &outputs})
    buffer->resize(options.max_rows * shape.n_embd);
  for (auto* buffer : {&q, &heads})
    buffer->resize(options.max_rows * q_width);
  for (auto* buffer : {&k, &v})
    buffer->resize(options.max_rows * kv_width);
  for (auto* buffer : {&gate, &up})
    buffer->resize(options.max_rows * shape.n_ff);
  if (shape.input_norms)
    own_input.resize(options.max_rows *
                     std::max({std::size_t{shape.n_embd}, q_width, std::size_t{shape.n_ff}}));
  logits.resize(options.max_logit_rows * shape.n_vocab);
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
                                std::span{x}.subspan(i * shape.n_embd, shape.n_embd));
    if (shape.embed_scale != 1.0f)
      for (auto& value : used(x, shape.n_embd))
        value *= shape.embed_scale;
  });
  cost(shape.n_layer, operation::embed).weight_bytes +=
      rows.size() * all->embedding.weight_bytes() / shape.n_vocab;
}

/// x' = h + FFN(h),  h = x + Attention(x)
void forward_pass::state::layer(std::size_t index) {
  attention_block(index);
  ffn_block(index);
}

void forward_pass::state::attention_block(std::size_t index) {
  const auto& w = all->layers[index];
  const auto n = rows.size();

  measured(index, operation::norm, [&] {
    rms_norm(used(x, shape.n_embd), n, shape.n_embd, w.attn_norm, shape.rms_eps,
             used(normed, shape.n_embd), on);
  });
  share_input(index, used(normed, shape.n_embd), shape.n_embd);
  project(index, operation::qkv, w.q, w.q_norm_in, used(normed, shape.n_embd), q);
  project(index, operation::qkv, w.k, w.k_norm_in, used(normed, shape.n_embd), k);
  project(index, operation::qkv, w.v, w.v_norm_in, used(normed, shape.n_embd), v);

  if (shape.head_norms)
    norm_heads(index, w);
  measured(index, operation::rope, [&] {
    auto& turn = shape.is_global(index) ? rope : rope_local;
    turn.apply(used(q, q_width), shape.n_head, shape.head_dim, positions, on);
    turn.apply(used(k, kv_width), shape.n_head_kv, shape.head_dim, positions, on);
  });
  measured(index, operation::attention, [&] {
    store(index);
    attend.apply(sequences, used(q, q_width), used(heads, q_width), on, window_of(index));
  });
  count_attention(cost(index, operation::attention), window_of(index));

  if (shape.sub_norms)
    measured(index, operation::norm, [&] {
      rms_norm(used(heads, q_width), n, q_width, w.attn_sub_norm, shape.rms_eps,
               used(heads, q_width), on);
    });
  share_input(index, used(heads, q_width), q_width);
  project(index, operation::attn_output, w.attn_output, w.attn_output_norm_in, used(heads, q_width),
          projected);
  add_to_residual(index, operation::attn_output, w.post_attention_norm);
}

void forward_pass::state::ffn_block(std::size_t index) {
  const auto& w = all->layers[index];
  const auto n = rows.size();

  measured(index, operation::norm, [&] {
    rms_norm(used(x, shape.n_embd), n, shape.n_embd, w.ffn_norm, shape.rms_eps,
             used(normed, shape.n_embd), on);
  });
  share_input(index, used(normed, shape.n_embd), shape.n_embd);
  project(index, operation::gate_up, w.gate, w.gate_norm_in, used(normed, shape.n_embd), gate);
  project(index, operation::gate_up, w.up, w.up_norm_in, used(normed, shape.n_embd), up);

  measured(index, operation::activation, [&] {
    gated_activation(shape.gate, used(gate, shape.n_ff), used(up, shape.n_ff),
                     used(gate, shape.n_ff), on);
  });
  if (shape.sub_norms)
    measured(index, operation::norm, [&] {
      rms_norm(used(gate, shape.n_ff), n, shape.n_ff, w.ffn_sub_norm, shape.rms_eps,
               used(gate, shape.n_ff), on);
    });
  share_input(index, used(gate, shape.n_ff), shape.n_ff);
  project(index, operation::ffn_down, w.down, w.down_norm_in, used(gate, shape.n_ff), projected);
  add_to_residual(index, operation::ffn_down, w.post_ffw_norm);
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

/// x += projected, normed first where the family does so.
void forward_pass::state::add_to_residual(std::size_t index, operation op,
                                          const std::vector<float>& post_norm) {
  const auto block = used(projected, shape.n_embd);
  if (!post_norm.empty())
    measured(index, operation::norm, [&] {
      rms_norm(block, rows.size(), shape.n_embd, post_norm, shape.rms_eps, block, on);
    });
  measured(index, op, [&] { add_in_place(used(x, shape.n_embd), block, on); });
}

/// Hidden states of the rows that ask, then logits of those that ask for logits.
void forward_pass::state::head() {
  if (n_outputs == 0)
    return;
  const std::size_t width = shape.n_embd;
  const auto hidden = std::span{outputs}.first(n_outputs * width);
  measured(shape.n_layer, operation::norm, [&] {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].output != row_output::none)
        std::copy_n(x.data() + i * width, width, outputs.data() + output_index[i] * width);
    rms_norm(hidden, n_outputs, width, all->output_norm, shape.rms_eps, hidden, on);
  });
  if (n_logits == 0)
    return;
  measured(shape.n_layer, operation::head, [&] {
    whole_head(0, n_full);
    if (n_full < n_logits)
      screen_head();
  });
}

/// All logits of rows [from, to) of `outputs`.
void forward_pass::state::whole_head(std::size_t from, std::size_t to) {
  if (from == to)
    return;
  const std::size_t width = shape.n_embd, n = to - from;
  const auto& matrix = all->head();
  input.assign(std::span{outputs}.subspan(from * width, n * width), n, width,
               matrix.is_rounded() ? activation_quantization::absmax
                                   : activation_quantization::none);
  matrix.apply(input, std::span{logits}.subspan(from * shape.n_vocab, n * shape.n_vocab), on);
  matrix.add_cost(n, cost(shape.n_layer, operation::head));
}

/// Whether this step asks the screen. Where most answers failed lately (the logits are too flat for
/// its bounds), reading all at once is faster: it is asked again after 64 steps.
bool forward_pass::state::may_screen() {
  constexpr std::size_t most_failed = 8, pause_steps = 64;
  if (!all->screen)
    return false;
  if (n_failed < most_failed)
    return true;
  if (++n_unscreened < pause_steps)
    return false;
  n_failed = most_failed / 2;
  n_unscreened = 0;
  return true;
}

void forward_pass::state::screen_head() {
  const std::size_t width = shape.n_embd, n = n_logits - n_full;
  const auto& matrix = all->head();
  // A row of its own costs as much as one read with all others: half of them, shared by the batch.
  const auto most_rows = shape.n_vocab / (2 * n);
  const auto found = std::span{answers}.subspan(n_full);
  screened.answer(matrix, *all->screen, std::span{outputs}.subspan(n_full * width, n * width),
                  queries, most_rows,
                  std::span{logits}.subspan(n_full * shape.n_vocab, n * shape.n_vocab), found, on);
  auto& spent = cost(shape.n_layer, operation::head);
  all->screen->copy().add_cost(n, spent);
  spent.weight_bytes += screened.rows_read() * (matrix.weight_bytes() / shape.n_vocab);
  spent.multiplications += screened.rows_read() * width;
  counters.screened += n;
  counters.screen_rows_read += screened.rows_read();

  const auto failed = [](const auto& one) { return !one.has_value(); };
  const auto n_fallbacks = static_cast<std::size_t>(std::ranges::count_if(found, failed));
  counters.screen_fallbacks += n_fallbacks;
  n_failed = n_fallbacks > 0 ? n_failed + n_fallbacks : n_failed / 2;
  if (n_fallbacks == 0)
    return;
  // Whole, all in one pass; what lies between two of them is then whole, too.
  const auto first = std::ranges::find_if(found, failed);
  const auto last = std::find_if(found.rbegin(), found.rend(), failed).base();
  std::for_each(first, last, [](auto& one) { one.reset(); });
  whole_head(n_full + static_cast<std::size_t>(first - found.begin()),
             n_full + static_cast<std::size_t>(last - found.begin()));
}

/// Puts every row's key and value into its page, and notes the blocks that attention reads.
void forward_pass::state::store(std::size_t index) {
  find_blocks(index);
  const auto store_row = [&](std::size_t i) {
    const auto position = rows[i].position;
    const auto page = rows[i].pages[position / page_tokens];
    store_kv(pages, position % page_tokens, std::span{k}.subspan(i * kv_width, kv_width),
             std::span{v}.subspan(i * kv_width, kv_width), cache.keys(index, page),
             cache.values(index, page), on.kernels);
  };
  // Rows of one page share cache lines, so a chunk is about a page's worth of rows.
  const auto n_chunks = pages_for(rows.size());
  on.node.for_chunks(n_chunks, [&](std::size_t chunk) {
    const auto end = std::min(rows.size(), (chunk + 1) * page_tokens);
    for (auto i = chunk * page_tokens; i < end; ++i)
      store_row(i);
  });
}

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

void forward_pass::state::quantize(std::size_t layer_index, std::span<const float> from,
                                   std::size_t cols) {
  input.assign(from, rows.size(), cols, activations);
  measured(layer_index, operation::quantize, [&] { input.quantize(on); });
}

/// The input of the projections that follow, unless each has its own.
void forward_pass::state::share_input(std::size_t layer_index, std::span<const float> from,
                                      std::size_t cols) {
  if (!shape.input_norms)
    quantize(layer_index, from, cols);
}

void forward_pass::state::project(std::size_t layer_index, operation op, const linear& matrix,
                                  const std::vector<float>& norm_in, std::span<const float> from,
                                  std::vector<float>& out) {
  if (!norm_in.empty()) {
    const auto own = used(own_input, matrix.cols());
    measured(layer_index, operation::norm,
             [&] { rms_norm(from, rows.size(), matrix.cols(), norm_in, shape.rms_eps, own, on); });
    quantize(layer_index, own, matrix.cols());
  }
  measured(layer_index, op, [&] { matrix.apply(input, used(out, matrix.rows()), on); });
  matrix.add_cost(rows.size(), cost(layer_index, op));
}

/// Keys and values are counted once per sequence and step: a chunk's rows share what they read.
void forward_pass::state::count_attention(operation_cost& to, std::size_t window) const {
  const auto most = window == 0 ? static_cast<std::size_t>(-1) : window;
  for (const auto& part : sequences) {
    const auto end = part.first_position + part.n_rows;
    const auto context = std::min(end, most + std::min(part.n_rows, end - 1));
    to.kv_bytes += 2 * context * kv_width * bytes_per_value(pages.type);
    for (std::size_t i = 0; i < part.n_rows; ++i)
      to.multiplications += 2 * std::min(part.first_position + i + 1, most) * q_width;
  }
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
  return std::span{s.logits}.subspan(s.output_index[row] * s.shape.n_vocab, s.shape.n_vocab);
}

std::span<const float> forward_pass::hidden(std::size_t row) const {
  const auto& s = *state_;
  assert(row < s.output_index.size() && s.output_index[row] < s.n_outputs);
  return std::span{s.outputs}.subspan(s.output_index[row] * s.shape.n_embd, s.shape.n_embd);
}

activation_quantization forward_pass::activations() const noexcept { return state_->activations; }
std::size_t forward_pass::max_rows() const noexcept { return state_->options.max_rows; }
const telemetry& forward_pass::counters() const noexcept { return state_->counters; }
telemetry& forward_pass::counters() noexcept { return state_->counters; }

} // namespace bitnetd::engine
