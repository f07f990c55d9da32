// SPDX-License-Identifier: MIT
#include "actors/sequences.h"

#include "base/log.h"

#include <algorithm>
#include <iterator>

namespace bitnetd::actors {

namespace {

std::string_view text_of(engine::status status) {
  switch (status) {
  case engine::status::ok:
    return "ok";
  case engine::status::batch_full:
    return "no free sequence";
  case engine::status::out_of_pages:
    return "not enough free KV pages";
  case engine::status::prompt_too_long:
    return "prompt and new tokens exceed the context";
  case engine::status::empty_prompt:
    return "the prompt has no tokens";
  case engine::status::bad_token:
    return "a token id is outside the vocabulary";
  case engine::status::duplicate_id:
    return "this sequence is running already";
  }
  return "unknown status";
}

finish_kind kind_of(engine::finish_reason reason) {
  switch (reason) {
  case engine::finish_reason::stop:
    return finish_kind::stop;
  case engine::finish_reason::length:
    return finish_kind::length;
  case engine::finish_reason::cancelled:
    return finish_kind::cancelled;
  case engine::finish_reason::numeric:
    return finish_kind::numeric;
  }
  return finish_kind::refused;
}

void add(engine::operation_cost& sum, const engine::operation_cost& more) {
  sum.nanoseconds += more.nanoseconds;
  sum.weight_bytes += more.weight_bytes;
  sum.kv_bytes += more.kv_bytes;
  sum.additions += more.additions;
  sum.multiplications += more.multiplications;
  sum.zero_additions += more.zero_additions;
  sum.integer_multiplications += more.integer_multiplications;
}

} // namespace

sequences::sequences(engine::compute_node& node, const engine::kernel_table& kernels, settings with)
    : node_{node}, kernels_{kernels}, with_{with} {}

void sequences::add_lane(const model_handle& model) {
  const auto& description = *model->description;
  const auto page_bytes = description.kv_bytes_per_token(with_.kv) * engine::page_tokens;
  engine::batch_options options;
  options.max_sequences = with_.max_sequences;
  options.kv = with_.kv;
  options.max_step_tokens = with_.max_step_tokens;
  // Never more pages than every sequence at full context could use.
  const auto useful = with_.max_sequences * engine::pages_for(description.shape.n_context);
  options.kv_pages = std::clamp<std::size_t>(with_.kv_bytes / page_bytes, 1, useful);
  model_lane made;
  made.name = model->name;
  made.batch = std::make_unique<engine::batch>(model->description, model->per_node.at(with_.node),
                                               node_, kernels_, options);
  if (!made.batch->memory_bound())
    log::warn("worker {}: the kernel refused to bind KV memory of {} to the node; it is used "
              "unbound",
              with_.node, model->name);
  lanes_.insert_or_assign(description.model_hash, std::move(made));
}

void sequences::serve(const model_set& models) {
  for (auto& [hash, lane] : lanes_)
    lane.served = false;
  for (const auto& model : *models) {
    const auto found = lanes_.find(model->description->model_hash);
    if (found == lanes_.end())
      add_lane(model);
    else
      found->second.served = true;
  }
  erase_idle_lanes();
}

void sequences::erase_idle_lanes() {
  std::erase_if(lanes_, [this](const auto& item) {
    const auto& lane = item.second;
    if (lane.served || !lane.batch->idle())
      return false;
    add(retired_, lane.batch->counters().total());
    retired_steps_ += lane.batch->counters().steps;
    return true;
  });
}

void sequences::plan(const step_budget& budget) {
  if (const auto lane = lanes_.find(budget.model_hash); lane != lanes_.end())
    lane->second.budget = budget;
}

std::optional<sequences::refusal> sequences::assign(const assignment& what, mono_time now) {
  const auto lane = lanes_.find(what.model_hash);
  if (lane == lanes_.end())
    return refusal{false, "this worker does not hold the model"};
  engine::sequence_request request;
  request.id = next_number_;
  request.tokens = what.tokens;
  request.n_generated = what.n_generated;
  request.max_new_tokens = what.max_new_tokens;
  request.sampling = what.sampling;
  request.stops = what.stops;
  request.ignore_eos = what.ignore_eos;
  request.embedding = what.embedding;
  if (const auto status = lane->second.batch->admit(std::move(request));
      status != engine::status::ok)
    return refusal{status == engine::status::batch_full || status == engine::status::out_of_pages,
                   std::string{text_of(status)}};
  open_job job;
  job.id = what.id;
  job.model = what.model_hash;
  job.n_tokens = what.n_generated;
  job.assigned = now;
  job.waiting.id = what.id;
  job.waiting.first_token = what.n_generated;
  numbers_.insert_or_assign(what.id, next_number_);
  jobs_.emplace(next_number_++, std::move(job));
  return std::nullopt;
}

void sequences::cancel(const job_id& id) {
  const auto number = numbers_.find(id);
  if (number == numbers_.end())
    return;
  auto& job = jobs_.at(number->second);
  job.cancelled = true;
  if (job.end) { // all was drawn; the rest of its output waits for somebody who went away
    job.end->finish = finish_kind::cancelled;
    ready_.push_back(number->second);
  } else if (const auto lane = lanes_.find(job.model); lane != lanes_.end()) {
    lane->second.batch->cancel(number->second);
  }
}

bool sequences::embed(const embed_request& what) {
  if (what.tokens.empty() || what.tokens.size() > max_embedded_tokens ||
      tickets_.size() >= max_waiting_embeddings)
    return false;
  const auto lane = lanes_.find(what.model_hash);
  if (lane == lanes_.end())
    return false;
  engine::sequence_request request;
  request.id = next_number_;
  request.tokens = what.tokens;
  request.embedding = true;
  if (lane->second.batch->admit(std::move(request)) != engine::status::ok)
    return false;
  tickets_.emplace(next_number_++, vector_request{what.ticket, what.model_hash});
  return true;
}

void sequences::taken(const job_id& id) {
  const auto number = numbers_.find(id);
  if (number == numbers_.end())
    return;
  jobs_.at(number->second).in_flight = false;
  ready_.push_back(number->second);
}

sequences::lane_map::iterator sequences::next_lane() {
  if (!tickets_.empty())
    return lanes_.find(tickets_.begin()->second.model);
  auto at = lanes_.upper_bound(last_lane_);
  for (std::size_t i = 0; i < lanes_.size(); ++i, ++at) {
    if (at == lanes_.end())
      at = lanes_.begin();
    if (!at->second.batch->idle()) {
      last_lane_ = at->first;
      return at;
    }
  }
  return lanes_.end();
}

void sequences::flush(std::uint64_t number, open_job& job, events& out) {
  if (job.cancelled && job.end) {
    job.waiting.tokens.clear();
    job.waiting.text.clear();
  }
  const bool something = !job.waiting.tokens.empty() || !job.waiting.text.empty();
  if (something && !job.in_flight) {
    job.in_flight = true;
    output piece;
    std::swap(piece, job.waiting);
    piece.id = job.id;
    job.waiting.id = job.id;
    job.waiting.first_token = job.n_tokens;
    out.outputs.push_back(std::move(piece));
  }
  const bool all_sent = job.waiting.tokens.empty() && job.waiting.text.empty();
  if (job.end && all_sent) {
    out.ends.push_back(std::move(*job.end));
    numbers_.erase(job.id);
    jobs_.erase(number);
  }
}

void sequences::collect(const engine::sequence_output& drawn, mono_time now, events& out) {
  if (const auto ticket = tickets_.find(drawn.id); ticket != tickets_.end()) {
    if (drawn.ended) {
      out.vectors.push_back({ticket->second.ticket, drawn.embedding});
      tickets_.erase(ticket);
    }
    return;
  }
  const auto found = jobs_.find(drawn.id);
  if (found == jobs_.end())
    return;
  auto& job = found->second;
  if (!drawn.tokens.empty() && !job.first_token)
    job.first_token = now;
  job.waiting.tokens.insert(job.waiting.tokens.end(), drawn.tokens.begin(), drawn.tokens.end());
  job.waiting.text += drawn.text;
  job.waiting.logprob_sum += drawn.logprob_sum;
  job.n_tokens += static_cast<std::uint32_t>(drawn.tokens.size());
  if (drawn.ended) {
    finished end;
    end.id = job.id;
    end.finish = kind_of(drawn.finish);
    end.n_tokens = job.n_tokens;
    end.prefill_ms = ms_between(job.assigned, job.first_token.value_or(now));
    end.decode_ms = job.first_token ? ms_between(*job.first_token, now) : 0;
    end.embedding = drawn.embedding;
    job.end = std::move(end);
  }
  flush(drawn.id, job, out);
}

sequences::events sequences::step(mono_time now) {
  auto out = release();
  const auto next = next_lane();
  if (next == lanes_.end())
    return out;
  auto& [hash, lane] = *next;
  engine::step_limits limits;
  limits.max_tokens = lane.budget.max_tokens;
  limits.prefill_chunk = lane.budget.prefill_chunk;
  const auto report = lane.batch->step(limits);
  const auto after =
      now + std::chrono::duration_cast<microseconds>(std::chrono::duration<double>{report.seconds});
  for (const auto& drawn : report.outputs)
    collect(drawn, after, out);
  if (report.n_decode + report.n_prefill > 0)
    out.cost =
        step_time{with_.node,          hash, report.n_decode, report.n_prefill, report.context_sum,
                  report.seconds * 1e3};
  erase_idle_lanes();
  return out;
}

sequences::events sequences::release() {
  events out;
  for (const auto number : std::exchange(ready_, {}))
    if (const auto job = jobs_.find(number); job != jobs_.end())
      flush(number, job->second, out);
  return out;
}

bool sequences::idle() const {
  return ready_.empty() &&
         std::ranges::all_of(lanes_, [](const auto& item) { return item.second.batch->idle(); });
}

worker_credit sequences::credit() const {
  worker_credit out;
  out.worker = with_.node;
  for (const auto& [hash, lane] : lanes_)
    out.room.emplace(hash, model_room{static_cast<std::uint32_t>(lane.batch->free_sequences()),
                                      lane.batch->free_pages()});
  return out;
}

engine::operation_cost sequences::counters() const {
  auto sum = retired_;
  for (const auto& [hash, lane] : lanes_)
    add(sum, lane.batch->counters().total());
  return sum;
}

std::uint64_t sequences::steps() const {
  auto sum = retired_steps_;
  for (const auto& [hash, lane] : lanes_)
    sum += lane.batch->counters().steps;
  return sum;
}

bool sequences::memory_bound() const {
  return std::ranges::all_of(lanes_,
                             [](const auto& item) { return item.second.batch->memory_bound(); });
}

} // namespace bitnetd::actors
