// SPDX-License-Identifier: MIT
#include "engine/batch.h"

#include "engine/embedding_pool.h"
#include "engine/forward.h"
#include "engine/text_stream.h"
#include "engine/weights_layout.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

namespace bitnetd::engine {

namespace {

/// The bytes of a token; none for a model without tokenizer.
std::string piece(const model& description, token_id token) {
  return description.words ? description.words->piece(token) : std::string{};
}

/// One sequence in flight.
struct sequence {
  sequence_request request; ///< its tokens grow by what is drawn
  std::size_t n_admitted;   ///< tokens it came with: prompt, and what was generated elsewhere
  page_table pages;
  text_stream text;
  embedding_pool pool;
  std::size_t n_computed = 0; ///< tokens whose keys and values stand in the pages
  bool cancelled = false;

  sequence(sequence_request what, page_table where, const model& description)
      : request{std::move(what)}, n_admitted{request.tokens.size()}, pages{std::move(where)},
        text{request.stops}, pool{description.shape.pool,
                                  request.embedding ? description.shape.n_embd : 0} {
    // What was generated before is known to the client; the stream only has to be where it was.
    for (const auto token : std::span{request.tokens}.last(request.n_generated))
      (void)text.feed(piece(description, token));
  }

  [[nodiscard]] std::size_t n_pending() const { return request.tokens.size() - n_computed; }
  [[nodiscard]] bool decoding() const { return request.tokens.size() > n_admitted; }
  [[nodiscard]] bool exhausted() const {
    return !request.embedding && (request.n_generated >= request.max_new_tokens || text.stopped());
  }
};

/// The rows of one sequence in a step.
struct share {
  sequence* owner;
  std::size_t first_row, n_rows;
  sample drawn{};
  std::optional<head_query> query{}; ///< of the logits that it draws from; none: all

  /// Whether its last row completes what is known of the sequence.
  [[nodiscard]] bool draws() const { return owner->n_pending() == 0 && !owner->request.embedding; }
};

forward_options pass_options(const batch_options& options) {
  return {.activations = options.activations,
          .max_rows = options.max_step_tokens,
          .max_logit_rows = options.max_sequences};
}

void end(sequence_output& out, sequence& seq, finish_reason why) {
  out.ended = true;
  out.finish = why;
  out.text += seq.text.flush(); // nothing can follow any more: what was held back is text
}

} // namespace

struct batch::state {
  std::shared_ptr<const model> description;
  compute_node& node;
  batch_options options;
  kv_cache cache;
  bool memory_bound;
  forward_pass pass;
  std::vector<std::unique_ptr<sequence>> sequences; ///< in order of admission
  std::vector<step_row> rows;                       // of the current step
  std::vector<share> shares;                        // of the current step

  state(std::shared_ptr<const model> what, std::shared_ptr<const weights> layers,
        compute_node& where, const kernel_table& kernels, const batch_options& how);

  [[nodiscard]] status check(const sequence_request& request) const;
  [[nodiscard]] std::size_t n_positions(const sequence_request& request) const;
  void end_without_computing(step_report& report);
  void plan(const step_limits& limits, step_report& report);
  void take_rows(sequence& seq, std::size_t n);
  void draw_tokens();
  [[nodiscard]] sequence_output take_token(sequence& seq, const sample& drawn);
  [[nodiscard]] std::optional<sequence_output> take_hidden(const share& part);
  void take_results(step_report& report);
  void remove(std::uint64_t id);
};

batch::state::state(std::shared_ptr<const model> what, std::shared_ptr<const weights> layers,
                    compute_node& where, const kernel_table& kernels, const batch_options& how)
    : description{std::move(what)}, node{where}, options{how},
      cache{*description, options.kv, options.activations.value_or(description->shape.activations),
            options.kv_pages, node.where().memory_node},
      memory_bound{cache.bound() && layers->bound()}, pass{description, std::move(layers),
                                                           cache,       node,
                                                           kernels,     pass_options(options)} {
  assert(options.max_sequences > 0 && options.max_step_tokens > 0);
  sequences.reserve(options.max_sequences);
  rows.reserve(options.max_step_tokens);
  shares.reserve(options.max_sequences);
}

/// Positions that the whole sequence can come to take.
std::size_t batch::state::n_positions(const sequence_request& request) const {
  const auto known = request.tokens.size();
  return request.embedding ? known
                           : std::max(known, known - request.n_generated + request.max_new_tokens);
}

status batch::state::check(const sequence_request& request) const {
  if (std::ranges::any_of(sequences, [&](auto& seq) { return seq->request.id == request.id; }))
    return status::duplicate_id;
  if (request.tokens.size() <= request.n_generated)
    return status::empty_prompt;
  const auto n_vocab = static_cast<token_id>(description->shape.n_vocab);
  if (std::ranges::any_of(request.tokens, [&](token_id t) { return t < 0 || t >= n_vocab; }))
    return status::bad_token;
  if (n_positions(request) > description->shape.n_context)
    return status::prompt_too_long;
  if (sequences.size() >= options.max_sequences)
    return status::batch_full;
  return status::ok;
}

/// Sequences that were cancelled, or that may draw nothing: also those whose last token was drawn
/// elsewhere.
void batch::state::end_without_computing(step_report& report) {
  for (auto& seq : sequences)
    if (seq->cancelled || seq->exhausted()) {
      auto& out = report.outputs.emplace_back();
      out.id = seq->request.id;
      end(out, *seq,
          seq->cancelled        ? finish_reason::cancelled
          : seq->text.stopped() ? finish_reason::stop
                                : finish_reason::length);
    }
  for (const auto& out : report.outputs)
    remove(out.id);
}

/// Which rows this step runs: every decode first, then prompts in order of admission.
void batch::state::plan(const step_limits& limits, step_report& report) {
  rows.clear();
  shares.clear();
  auto left = std::clamp<std::size_t>(limits.max_tokens, 1, options.max_step_tokens);
  const auto chunk = std::max<std::size_t>(limits.prefill_chunk, 1);
  for (auto& seq : sequences)
    if (seq->decoding() && left > 0) {
      take_rows(*seq, 1);
      --left;
    }
  report.n_decode = static_cast<std::uint32_t>(rows.size());
  // More decodes than rows: those that were served wait behind the others next time.
  if (left == 0)
    std::stable_partition(sequences.begin(), sequences.end(), [&](const auto& seq) {
      return std::ranges::none_of(shares, [&](auto& part) { return part.owner == seq.get(); });
    });
  for (auto& seq : sequences)
    if (!seq->decoding() && left > 0) {
      const auto n = std::min({seq->n_pending(), chunk, left});
      take_rows(*seq, n);
      left -= n;
    }
  report.n_prefill = static_cast<std::uint32_t>(rows.size()) - report.n_decode;
  for (const auto& row : rows)
    report.context_sum += row.position + 1;
}

void batch::state::take_rows(sequence& seq, std::size_t n) {
  shares.push_back({&seq, rows.size(), n});
  const auto& request = seq.request;
  for (std::size_t i = 0; i < n; ++i, ++seq.n_computed) {
    const bool hidden = request.embedding && seq.pool.wants(seq.n_computed, request.tokens.size());
    rows.push_back({request.tokens[seq.n_computed], static_cast<std::uint32_t>(seq.n_computed),
                    seq.pages.pages(), hidden ? row_output::hidden : row_output::none});
  }
  auto& part = shares.back(); // stays where it is: there is room for all sequences
  if (!part.draws())
    return;
  part.query = screened_query(request.sampling, request.tokens);
  rows.back().output = row_output::logits;
  rows.back().query = part.query ? &*part.query : nullptr;
}

/// One draw per sequence, side by side: over a large vocabulary it costs as much as a layer.
void batch::state::draw_tokens() {
  const auto start = std::chrono::steady_clock::now();
  node.for_chunks(shares.size(), [&](std::size_t i) {
    auto& part = shares[i];
    if (!part.draws())
      return;
    const auto& request = part.owner->request;
    const auto row = part.first_row + part.n_rows - 1;
    const auto* answer = pass.answer(row);
    part.drawn =
        answer != nullptr
            ? draw_screened(*answer, request.sampling, request.tokens, request.n_generated)
            : draw(pass.logits(row), request.sampling, request.tokens, request.n_generated);
  });
  auto& cost = pass.counters().layers.back()[static_cast<std::size_t>(operation::sample)];
  cost.nanoseconds += static_cast<std::uint64_t>(
      std::chrono::nanoseconds{std::chrono::steady_clock::now() - start}.count());
}

sequence_output batch::state::take_token(sequence& seq, const sample& drawn) {
  sequence_output out;
  auto& request = seq.request;
  out.id = request.id;
  if (drawn.token < 0) {
    end(out, seq, finish_reason::numeric);
    return out;
  }
  const auto* words = description->words.get();
  if (words != nullptr && !request.ignore_eos &&
      std::ranges::count(words->stop_tokens(), drawn.token) > 0) {
    end(out, seq, finish_reason::stop);
    return out;
  }
  request.tokens.push_back(drawn.token);
  ++request.n_generated;
  out.tokens.push_back(drawn.token);
  out.logprob_sum = double{drawn.logprob};
  out.text = seq.text.feed(piece(*description, drawn.token));
  if (seq.text.stopped())
    end(out, seq, finish_reason::stop);
  else if (seq.exhausted())
    end(out, seq, finish_reason::length);
  return out;
}

std::optional<sequence_output> batch::state::take_hidden(const share& part) {
  auto& seq = *part.owner;
  for (std::size_t i = part.first_row; i < part.first_row + part.n_rows; ++i)
    if (rows[i].output == row_output::hidden)
      seq.pool.add(pass.hidden(i));
  if (seq.n_pending() > 0)
    return {};
  sequence_output out;
  out.id = seq.request.id;
  auto unit = seq.pool.finish();
  end(out, seq, unit ? finish_reason::stop : finish_reason::numeric);
  out.embedding = std::move(unit).value_or(std::vector<float>{});
  return out;
}

void batch::state::take_results(step_report& report) {
  for (auto& part : shares) {
    auto& seq = *part.owner;
    seq.pages.seal_full_pages(std::span{seq.request.tokens}.first(seq.n_computed));
    if (part.draws())
      report.outputs.push_back(take_token(seq, part.drawn));
    else if (seq.request.embedding)
      if (auto out = take_hidden(part))
        report.outputs.push_back(*std::move(out));
  }
  for (const auto& out : report.outputs)
    if (out.ended)
      remove(out.id);
}

void batch::state::remove(std::uint64_t id) {
  std::erase_if(sequences, [&](const auto& seq) { return seq->request.id == id; });
}

batch::batch(std::shared_ptr<const model> description, std::shared_ptr<const weights> layers,
             compute_node& node, const kernel_table& kernels, const batch_options& options)
    : state_{std::make_unique<state>(std::move(description), std::move(layers), node, kernels,
                                     options)} {}
batch::~batch() = default;
batch::batch(batch&&) noexcept = default;

status batch::admit(sequence_request request) {
  auto& s = *state_;
  if (const auto answer = s.check(request); answer != status::ok)
    return answer;
  auto pages = page_table::reserve(s.cache, s.n_positions(request));
  if (!pages)
    return status::out_of_pages;
  s.sequences.push_back(
      std::make_unique<sequence>(std::move(request), *std::move(pages), *s.description));
  return status::ok;
}

void batch::cancel(std::uint64_t id) {
  for (auto& seq : state_->sequences)
    if (seq->request.id == id)
      seq->cancelled = true;
}

step_report batch::step(const step_limits& limits) {
  const auto start = std::chrono::steady_clock::now();
  step_report report;
  state_->end_without_computing(report);
  state_->plan(limits, report);
  if (!state_->rows.empty()) {
    state_->pass.run(state_->rows, [&] { state_->draw_tokens(); });
    state_->take_results(report);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

bool batch::idle() const noexcept { return state_->sequences.empty(); }

std::size_t batch::free_sequences() const noexcept {
  return state_->options.max_sequences - state_->sequences.size();
}

std::size_t batch::free_pages() const noexcept { return state_->cache.free_pages(); }

std::size_t batch::pages_needed(std::size_t tokens) const noexcept { return pages_for(tokens); }

const telemetry& batch::counters() const noexcept { return std::as_const(state_->pass).counters(); }

bool batch::memory_bound() const noexcept { return state_->memory_bound; }

} // namespace bitnetd::engine
