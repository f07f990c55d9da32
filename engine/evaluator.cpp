// SPDX-License-Identifier: MIT
#include "engine/evaluator.h"

#include "engine/embedding_pool.h"
#include "engine/sampler.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace bitnetd::engine {

namespace {

/// Rows that get logits in one step: 32 rows of the largest vocabularies (256 Ki) are 32 MiB.
constexpr std::size_t logit_rows = 32;

/// At least one row in a step; no position that the model was not made for.
evaluator_options within_bounds(evaluator_options options, const model& description) {
  options.chunk = std::max<std::size_t>(options.chunk, 1);
  options.max_tokens = std::min<std::size_t>(options.max_tokens, description.shape.n_context);
  return options;
}

forward_options pass_options(const evaluator_options& options) {
  return {.activations = options.activations,
          .max_rows = options.chunk,
          .max_logit_rows = std::min(options.chunk, logit_rows)};
}

} // namespace

struct evaluator::state {
  std::shared_ptr<const model> description;
  evaluator_options options;
  kv_cache cache;
  page_table pages;
  forward_pass pass;
  std::vector<step_row> rows;
  std::size_t position = 0;
  const head_query greedy{};

  state(std::shared_ptr<const model> what, std::shared_ptr<const weights> layers,
        compute_node& node, const kernel_table& kernels, const evaluator_options& how)
      : description{std::move(what)}, options{within_bounds(how, *description)},
        cache{*description, options.kv,
              options.activations.value_or(description->shape.activations),
              pages_for(options.max_tokens), node.where().memory_node},
        pages{*page_table::reserve(cache, options.max_tokens)},
        pass{description, std::move(layers), cache, node, kernels, pass_options(options)} {
    rows.reserve(options.chunk);
  }

  void check(std::span<const token_id> tokens) const;
  void run(std::span<const token_id> tokens, row_output all, row_output last);
};

void evaluator::state::check(std::span<const token_id> tokens) const {
  if (tokens.empty())
    throw std::invalid_argument("no tokens: expected at least one");
  if (tokens.size() > options.max_tokens - position)
    throw std::invalid_argument(std::to_string(position + tokens.size()) +
                                " tokens: expected at most " + std::to_string(options.max_tokens));
  const auto n_vocab = static_cast<token_id>(description->shape.n_vocab);
  for (const auto token : tokens)
    if (token < 0 || token >= n_vocab)
      throw std::invalid_argument("token " + std::to_string(token) +
                                  ": expected a whole number from 0 to " +
                                  std::to_string(n_vocab - 1));
}

/// One step: `all` is asked of every token but the last, `last` of that.
void evaluator::state::run(std::span<const token_id> tokens, row_output all, row_output last) {
  rows.clear();
  for (const auto token : tokens)
    rows.push_back({token, static_cast<std::uint32_t>(position++), pages.pages(), all});
  rows.back().output = last;
  rows.back().query = options.best_only ? &greedy : nullptr;
  pass.run(rows);
}

evaluator::evaluator(std::shared_ptr<const model> description,
                     std::shared_ptr<const weights> layers, compute_node& node,
                     const kernel_table& kernels, const evaluator_options& options)
    : state_{std::make_unique<state>(std::move(description), std::move(layers), node, kernels,
                                     options)} {}
evaluator::~evaluator() = default;
evaluator::evaluator(evaluator&&) noexcept = default;

void evaluator::feed(std::span<const token_id> tokens, const logits_sink& each) {
  auto& s = *state_;
  s.check(tokens);
  const auto chunk = each ? std::min(s.options.chunk, logit_rows) : s.options.chunk;
  while (!tokens.empty()) {
    const auto now = tokens.first(std::min(chunk, tokens.size()));
    tokens = tokens.subspan(now.size());
    const auto first = s.position;
    const auto last = each || tokens.empty() ? row_output::logits : row_output::none;
    s.run(now, each ? row_output::logits : row_output::none, last);
    for (std::size_t i = 0; each && i < now.size(); ++i)
      each(first + i, s.pass.logits(i));
  }
}

std::span<const float> evaluator::logits() const {
  return state_->pass.logits(state_->rows.size() - 1);
}

token_id evaluator::best() const {
  const auto row = state_->rows.size() - 1;
  const auto* answer = state_->pass.answer(row);
  return answer != nullptr ? draw_screened(*answer, {}, {}, 0).token
                           : draw(state_->pass.logits(row), {}, {}, 0).token;
}

std::size_t evaluator::position() const noexcept { return state_->position; }

void evaluator::reset() noexcept { state_->position = 0; }

std::vector<float> evaluator::embed(std::span<const token_id> tokens) {
  auto& s = *state_;
  reset();
  s.check(tokens);
  embedding_pool pool{s.options.pool.value_or(s.description->shape.pool),
                      s.description->shape.n_embd};
  for (std::size_t at = 0; at < tokens.size();) {
    const auto n = std::min(s.options.chunk, tokens.size() - at);
    const auto wanted = [&](std::size_t position) {
      return pool.wants(position, tokens.size()) ? row_output::hidden : row_output::none;
    };
    s.run(tokens.subspan(at, n), wanted(at), wanted(at + n - 1));
    for (std::size_t i = 0; i < n; ++i)
      if (s.rows[i].output == row_output::hidden)
        pool.add(s.pass.hidden(i));
    at += n;
  }
  auto unit = pool.finish();
  if (!unit)
    throw std::runtime_error("the embedding is not finite: the model's weights are damaged");
  return *std::move(unit);
}

void evaluator::run_layer(std::size_t index, std::span<float> x) {
  auto& s = *state_;
  const auto n = x.size() / s.description->shape.n_embd;
  reset();
  assert(n <= s.options.chunk && n <= s.options.max_tokens);
  s.rows.clear();
  while (s.position < n)
    s.rows.push_back({0, static_cast<std::uint32_t>(s.position++), s.pages.pages()});
  s.pass.run_layer(index, s.rows, x);
}

const telemetry& evaluator::counters() const noexcept {
  return std::as_const(state_->pass).counters();
}

} // namespace bitnetd::engine
