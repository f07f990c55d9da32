// SPDX-License-Identifier: MIT
#include "actors/placement.h"

#include "engine/kv_cache.h"

#include <algorithm>

namespace bitnetd::actors {

std::uint64_t pages_of(const traits& how) noexcept {
  return engine::pages_for(how.tokens.size() + how.max_new_tokens);
}

double decode_step_ms(const cost_model& cost, const lane_load& lane, const traits& how) noexcept {
  return cost.predict_ms(lane.n_running + 1.0, 0,
                         static_cast<double>(lane.context_sum + how.tokens.size()));
}

void worker_load::update(const worker_credit& credit) {
  std::erase_if(lanes, [&](const auto& item) {
    return item.second.n_running == 0 && !credit.room.contains(item.first);
  });
  for (const auto& [model, room] : credit.room)
    lanes[model].room = room;
}

void worker_load::assigned(const traits& how) {
  auto& lane = lanes[how.model->description->model_hash];
  lane.room.sequences -= std::min(lane.room.sequences, 1u);
  lane.room.pages -= std::min(lane.room.pages, pages_of(how));
  ++lane.n_running;
  lane.context_sum += how.tokens.size();
  ++n_running;
  running_ms += how.predicted_ms;
}

void worker_load::left(const traits& how) {
  auto& lane = lanes[how.model->description->model_hash];
  lane.n_running -= std::min(lane.n_running, 1u);
  lane.context_sum -= std::min<std::uint64_t>(lane.context_sum, how.tokens.size());
  if (lane.n_running == 0)
    lane.context_sum = 0;
  n_running -= std::min(n_running, 1u);
  running_ms = n_running == 0 ? 0 : std::max(0.0, running_ms - how.predicted_ms);
}

void worker_load::stepped(const step_time& step) {
  const auto lane = lanes.find(step.model_hash);
  if (lane == lanes.end() || lane->second.n_running == 0)
    return;
  // A step of decodes only has read exactly what they have; prefill reads more than that.
  auto& context = lane->second.context_sum;
  context = (step.n_prefill == 0 ? step.context_sum : context) + step.n_decode;
}

placing place(const traits& how, const std::vector<worker_load>& workers, const cost_model& cost,
              const conf::profile_config& profile) {
  const bool batching = profile.phases.batching;
  const auto needed = pages_of(how);
  placing out{{}, "no worker held the model"};
  for (std::uint32_t i = 0; i < workers.size(); ++i) {
    const auto& worker = workers[i];
    const auto found = worker.lanes.find(how.model->description->model_hash);
    if (!worker.up || found == worker.lanes.end())
      continue;
    const auto& lane = found->second;
    if (!batching && worker.n_running > 0)
      out.blocked = "batching is off: one at a time";
    else if (lane.n_running >= profile.batch.max_sequences || lane.room.sequences == 0)
      out.blocked = "the batch was full";
    else if (lane.room.pages < needed)
      out.blocked = "KV memory was used up";
    else if (lane.n_running > 0 &&
             decode_step_ms(cost, lane, how) > static_cast<double>(profile.targets.step.count()))
      out.blocked = "one more sequence would make steps longer than targets.step";
    else if (!out.worker || worker.running_ms < workers[*out.worker].running_ms)
      out.worker = i;
  }
  return out;
}

step_budget budget_for(const hash128& model, const lane_load& lane, const cost_model& cost,
                       const conf::profile_config& profile) {
  constexpr std::uint32_t least_prefill = 16;
  const auto fits = cost.prefill_within(static_cast<double>(profile.targets.step.count()),
                                        lane.n_running, static_cast<double>(lane.context_sum));
  // In whole sixteens, so that small changes of the prediction are not worth a message.
  const auto prefill = std::max(least_prefill, fits / least_prefill * least_prefill);
  step_budget out;
  out.model_hash = model;
  out.max_tokens = profile.batch.max_tokens;
  if (prefill < profile.batch.max_tokens)
    out.max_tokens = std::min(profile.batch.max_tokens, prefill + lane.n_running);
  out.prefill_chunk = std::min(profile.chunk.prefill_tokens, prefill);
  out.threads = profile.threads;
  return out;
}

} // namespace bitnetd::actors
