// SPDX-License-Identifier: MIT
#include "actors/sequences.h"

#include "base/log.h"

#include <algorithm>
#include <iterator>

namespace bitnetd::actors {

namespace {

double ms_between(mono_time from, mono_time to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

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

} // namespace

sequences::sequences(engine::compute_node& node, const engine::kernel_table& kernels, settings with)
    : node_{node}, kernels_{kernels}, with_{with} {}

void sequences::add_lane(const model_handle& model) {
  const auto& description = *model->description;
  const auto page_bytes =
      description.kv_bytes_per_token(engine::bytes_per_value(with_.kv)) * engine::page_tokens;
  engine::batch_options options;
  options.max_sequences = with_.max_sequences;
  options.kv = with_.kv;
  // Never more pages than every sequence at full context could use.
  const auto useful = with_.max_sequences * engine::pages_for(description.shape.n_context);
  options.kv_pages = std::clamp<std::size_t>(with_.kv_bytes / page_bytes, 1, useful);
  model_lane made{model, nullptr, true};
  made.batch = std::make_unique<engine::batch>(model->description, model->per_node.at(with_.node),
                                               node_, kernels_, options);
  if (!made.batch->memory_bound())
    log::warn("worker {}: the kernel refused to bind KV memory of {} to the node; it is used "
              "unbound",
              with_.node, model->name);
  lanes_.insert_or_assign(description.model_hash, std::move(made));
}

void sequences::serve(const model_set& models, mono_time) {
  for (auto& [hash, lane] : lanes_)
    lane.served = false;
  for (const auto& model : *models) {
    const auto found = lanes_.find(model->description->model_hash);
    if (found == lanes_.end())
      add_lane(model);
    else
      found->second.served = true;
  }
  std::erase_if(lanes_,
                [](const auto& item) { return !item.second.served && item.second.batch->idle(); });
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
  const auto& job = jobs_.at(number->second);
  if (const auto lane = lanes_.find(job.model); lane != lanes_.end() && !job.end)
    lane->second.batch->cancel(number->second);
}

bool sequences::embed(const embed_request& what) {
  if (what.tokens.empty() || what.tokens.size() > max_embedded_tokens ||
      tickets_.size() >= max_waiting_embeddings)
    return false;
  for (auto& [hash, lane] : lanes_) {
    if (!lane.model->embedding || !lane.served)
      continue;
    engine::sequence_request request;
    request.id = next_number_;
    request.tokens = what.tokens;
    request.embedding = true;
    if (lane.batch->admit(std::move(request)) != engine::status::ok)
      return false;
    tickets_.emplace(next_number_++, what.ticket);
    return true;
  }
  return false;
}

void sequences::taken(const job_id& id) {
  const auto number = numbers_.find(id);
  if (number == numbers_.end())
    return;
  jobs_.at(number->second).in_flight = false;
  ready_.push_back(number->second);
}

sequences::model_lane* sequences::next_lane() {
  if (!tickets_.empty())
    for (auto& [hash, lane] : lanes_)
      if (lane.model->embedding && !lane.batch->idle())
        return &lane;
  auto at = lanes_.upper_bound(last_lane_);
  for (std::size_t i = 0; i < lanes_.size(); ++i, ++at) {
    if (at == lanes_.end())
      at = lanes_.begin();
    if (!at->second.batch->idle()) {
      last_lane_ = at->first;
      return &at->second;
    }
  }
  return nullptr;
}

void sequences::flush(std::uint64_t number, open_job& job, events& out) {
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
      out.vectors.push_back({ticket->second, drawn.embedding});
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

sequences::events sequences::step(const step_budget& budget, mono_time now) {
  auto out = release();
  auto* lane = next_lane();
  if (lane == nullptr)
    return out;
  engine::step_limits limits;
  limits.max_tokens = budget.max_tokens;
  limits.prefill_chunk = budget.prefill_chunk;
  const auto report = lane->batch->step(limits);
  const auto after =
      now + std::chrono::duration_cast<microseconds>(std::chrono::duration<double>{report.seconds});
  for (const auto& drawn : report.outputs)
    collect(drawn, after, out);
  if (report.n_decode + report.n_prefill > 0)
    out.cost = step_time{with_.node,         lane->model->description->model_hash,
                         report.n_decode,    report.n_prefill,
                         report.context_sum, report.seconds * 1e3};
  if (!lane->served && lane->batch->idle())
    std::erase_if(lanes_, [&](const auto& item) { return &item.second == lane; });
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
  return std::ranges::all_of(lanes_, [](const auto& item) { return item.second.batch->idle(); });
}

worker_credit sequences::credit() const {
  worker_credit out;
  out.worker = with_.node;
  std::size_t free = with_.max_sequences;
  for (const auto& [hash, lane] : lanes_) {
    if (!lane.served)
      continue;
    free = std::min(free, lane.batch->free_sequences());
    out.free_pages.emplace(hash, lane.batch->free_pages());
  }
  out.free_sequences = static_cast<std::uint32_t>(lanes_.empty() ? 0 : free);
  return out;
}

engine::operation_cost sequences::counters() const {
  engine::operation_cost sum;
  for (const auto& [hash, lane] : lanes_) {
    const auto cost = lane.batch->counters().total();
    sum.nanoseconds += cost.nanoseconds;
    sum.weight_bytes += cost.weight_bytes;
    sum.kv_bytes += cost.kv_bytes;
    sum.additions += cost.additions;
    sum.multiplications += cost.multiplications;
    sum.zero_additions += cost.zero_additions;
  }
  return sum;
}

std::uint64_t sequences::steps() const {
  std::uint64_t sum = 0;
  for (const auto& [hash, lane] : lanes_)
    sum += lane.batch->counters().steps;
  return sum;
}

bool sequences::memory_bound() const {
  return std::ranges::all_of(lanes_,
                             [](const auto& item) { return item.second.batch->memory_bound(); });
}

} // namespace bitnetd::actors
