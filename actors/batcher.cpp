// SPDX-License-Identifier: MIT
#include "actors/batcher.h"

#include "actors/errors.h"
#include "actors/trace.h"
#include "base/log.h"
#include "engine/kv_cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds tick_interval{50};

std::uint64_t pages_of(const traits& how) {
  return engine::pages_for(how.tokens.size() + how.max_new_tokens);
}

/// What one more sequence makes of a worker's decode steps.
double decode_step_ms(const cost_model& cost, const batcher_state::worker_view& worker,
                      const traits& how) {
  return cost.predict_ms(worker.n_decode + 1.0, 0,
                         static_cast<double>(worker.context_sum + how.tokens.size()));
}

} // namespace

void batcher_state::enqueue(batcher_actor::pointer self, job what) {
  const auto& how = *what.how;
  waiting_job entry{what.id,      what.what->principal, how.cls,
                    time->mono(), how.deadline,         how.predicted_ms};
  came.emplace(what.id, entry.arrived);
  order.push(std::move(entry));
  const auto id = what.id;
  waiting.insert_or_assign(id, std::move(what));
  dispatch(self);
  keep_ticking(self);
}

std::optional<std::uint32_t> batcher_state::place(const job& what) {
  const auto& how = *what.how;
  const auto& profile = config->profile;
  const auto most = profile.phases.batching ? profile.batch.max_sequences : 1u;
  const auto needed = pages_of(how);
  const auto& cost = costs[how.model->description->model_hash];
  std::optional<std::uint32_t> best;
  blocked = "no worker is up";
  for (std::uint32_t i = 0; i < workers.size(); ++i) {
    const auto& worker = workers[i];
    const auto pages = worker.credit.free_pages.find(how.model->description->model_hash);
    if (!worker.handle || pages == worker.credit.free_pages.end())
      continue;
    if (worker.running.size() >= most || worker.credit.free_sequences == 0)
      blocked = profile.phases.batching ? "the batch was full" : "batching is off: one at a time";
    else if (pages->second < needed)
      blocked = "KV memory was used up";
    else if (profile.phases.batching && !worker.running.empty() &&
             decode_step_ms(cost, worker, how) > static_cast<double>(profile.targets.step.count()))
      blocked = "one more sequence would make steps longer than targets.step";
    else if (!best || worker.running_ms < workers[*best].running_ms)
      best = i;
  }
  return best;
}

void batcher_state::dispatch(batcher_actor::pointer self) {
  if (!others || !config)
    return;
  while (const auto choice = order.next(time->mono())) {
    const auto worker = place(waiting.at(choice->id));
    if (!worker)
      break;
    assign(self, *choice, *worker);
  }
  report_load(self);
}

void batcher_state::assign(batcher_actor::pointer self, const run_order::choice& choice,
                           std::uint32_t index) {
  order.start(choice.id);
  auto node = waiting.extract(choice.id);
  auto& what = node.mapped();
  const auto& how = *what.how;
  auto& worker = workers[index];
  const auto needed = pages_of(how);
  auto& pages = worker.credit.free_pages[how.model->description->model_hash];

  assignment next;
  next.id = what.id;
  next.model_hash = how.model->description->model_hash;
  next.tokens = how.tokens;
  if (const auto earlier = resumed.extract(what.id)) {
    next.n_generated = static_cast<std::uint32_t>(earlier.mapped().size());
    next.tokens.insert(next.tokens.end(), earlier.mapped().begin(), earlier.mapped().end());
  }
  next.max_new_tokens = how.max_new_tokens;
  next.sampling = how.sampling;
  next.stops = what.what->params.stop;
  next.ignore_eos = what.what->params.ignore_eos;
  next.embedding = what.words().kind == job_kind::embedding;

  const auto since = came.extract(what.id).mapped();
  const auto& cost = costs[next.model_hash];
  auto decision = fmt::format(
      "worker {} with {} others; {} of {} free pages; decode step about {:.1f} ms of {} ms; {}",
      index, worker.running.size(), needed, pages, decode_step_ms(cost, worker, how),
      config->profile.targets.step.count(), choice.reason);
  if (time->mono() - since > std::chrono::milliseconds{1} && !blocked.empty())
    decision += fmt::format("; waited because {}", blocked);
  if (!config->profile.phases.batching)
    decision = fmt::format("batching is off: alone on worker {}", index);
  counters->phase("batching", !config->profile.phases.batching);
  what.trace.push_back(trace_line("batching", what, since, time->mono(), std::move(decision)));

  --worker.credit.free_sequences;
  pages -= std::min<std::uint64_t>(pages, needed);
  worker.running.insert(what.id);
  worker.running_ms += how.predicted_ms;
  ++worker.n_decode;
  worker.context_sum += how.tokens.size();

  self->send(others->responder, started_atom_v, what, index);
  self->send(others->ledger, running_atom_v, what.id);
  send_budget(self, index, next.model_hash);
  self->send(worker.handle, assign_atom_v, std::move(next));
  const auto id = what.id;
  running.insert_or_assign(id, running_job{std::move(what), index});
}

void batcher_state::leave(batcher_actor::pointer self, std::uint32_t index, const job_id& id) {
  recalled.erase(id);
  if (const auto node = running.extract(id); !node.empty() && index < workers.size()) {
    auto& worker = workers[index];
    const auto& how = *node.mapped().what.how;
    worker.running.erase(id);
    worker.running_ms =
        worker.running.empty() ? 0 : std::max(0.0, worker.running_ms - how.predicted_ms);
    worker.n_decode = static_cast<std::uint32_t>(worker.running.size());
    worker.context_sum -= std::min<std::uint64_t>(worker.context_sum, how.tokens.size());
  }
  dispatch(self);
}

void batcher_state::lost(batcher_actor::pointer self, std::uint32_t index) {
  auto& worker = workers[index];
  log::warn("worker {} is gone; its {} jobs move", index, worker.running.size());
  std::vector<job_id> ids{worker.running.begin(), worker.running.end()};
  for (const auto& id : ids)
    if (auto node = running.extract(id))
      recalled.insert_or_assign(id, std::move(node.mapped().what));
  worker = worker_view{};
  if (!ids.empty())
    self->send(others->responder, recall_atom_v, std::move(ids));
}

void batcher_state::resume(batcher_actor::pointer self, const job_id& id,
                           std::vector<engine::token_id> tokens) {
  auto node = recalled.extract(id);
  if (node.empty())
    return;
  if (!tokens.empty())
    resumed.insert_or_assign(id, std::move(tokens));
  enqueue(self, std::move(node.mapped()));
}

void batcher_state::cancel(batcher_actor::pointer self, const job_id& id) {
  if (const auto found = running.find(id); found != running.end()) {
    self->send(workers[found->second.worker].handle, cancel_atom_v, id);
    return;
  }
  auto held = waiting.extract(id);
  if (held.empty())
    held = recalled.extract(id);
  if (held.empty()) {
    self->send(others->responder, cancel_atom_v, id);
    return;
  }
  order.remove(id);
  came.erase(id);
  resumed.erase(id);
  self->send(others->responder, failed_atom_v, id, cancelled(), std::move(held.mapped().trace));
  dispatch(self);
}

void batcher_state::expire(batcher_actor::pointer self) {
  for (const auto& id : order.take_expired(time->mono())) {
    auto node = waiting.extract(id);
    came.erase(id);
    resumed.erase(id);
    self->send(others->responder, failed_atom_v, id,
               deadline_passed("the deadline passed while the job waited for a worker"),
               std::move(node.mapped().trace));
  }
}

void batcher_state::observe(batcher_actor::pointer self, const step_time& step) {
  counters->step(step.n_decode + step.n_prefill, step.milliseconds);
  costs[step.model_hash].learn(
      {step.n_decode, step.n_prefill, step.context_sum, step.milliseconds});
  if (step.worker >= workers.size())
    return;
  auto& worker = workers[step.worker];
  worker.context_sum = std::max<std::uint64_t>(step.context_sum, worker.running.empty() ? 0 : 1);
  send_budget(self, step.worker, step.model_hash);
}

void batcher_state::send_budget(batcher_actor::pointer self, std::uint32_t index,
                                const hash128& model) {
  auto& worker = workers[index];
  const auto& profile = config->profile;
  const auto fits =
      costs[model].prefill_within(static_cast<double>(profile.targets.step.count()),
                                  worker.n_decode, static_cast<double>(worker.context_sum));
  // At least 16 rows of prefill: a step that makes no progress would never end.
  const auto prefill = std::max(16u, fits);
  step_budget next;
  next.max_tokens = std::min(profile.batch.max_tokens, prefill > profile.batch.max_tokens
                                                           ? profile.batch.max_tokens
                                                           : prefill + worker.n_decode);
  next.prefill_chunk = std::min(profile.chunk.prefill_tokens, prefill);
  next.threads = profile.threads;
  const auto& now = worker.budget;
  const bool same = now.max_tokens == next.max_tokens && now.prefill_chunk == next.prefill_chunk &&
                    now.threads == next.threads;
  if (same || !worker.handle)
    return;
  worker.budget = next;
  self->send(worker.handle, budget_atom_v, next);
}

void batcher_state::connect(batcher_actor::pointer self, const peers_ptr& next) {
  others = next;
  workers.resize(next->workers.size());
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (workers[i].handle == next->workers[i])
      continue;
    workers[i] = worker_view{};
    workers[i].handle = next->workers[i];
    workers[i].budget.max_tokens = 0; // nothing sent yet
    if (workers[i].handle)
      self->monitor(workers[i].handle);
  }
  if (config)
    configure(self, config);
}

void batcher_state::configure(batcher_actor::pointer self, const conf::config_ptr& next) {
  config = next;
  order.configure(next->profile);
  if (!others)
    return;
  const auto window =
      4 * next->profile.batch.max_sequences * static_cast<std::uint32_t>(workers.size());
  self->send(others->ledger, credit_atom_v, std::max(1u, window));
  for (std::uint32_t i = 0; i < workers.size(); ++i)
    send_budget(self, i, costs.empty() ? hash128{} : costs.begin()->first);
  dispatch(self);
}

void batcher_state::report_load(batcher_actor::pointer self) {
  double ms = order.waiting_ms();
  std::size_t up = 0;
  for (const auto& worker : workers) {
    ms += worker.running_ms;
    up += worker.handle ? 1 : 0;
  }
  self->send(others->analyzer, load_atom_v, ms / static_cast<double>(std::max<std::size_t>(up, 1)));
}

void batcher_state::keep_ticking(batcher_actor::pointer self) {
  if (!waiting.empty() && !std::exchange(ticking, true))
    self->delayed_send(self, tick_interval, tick_atom_v);
}

batcher_actor::behavior_type batcher(batcher_actor::stateful_pointer<batcher_state> self,
                                     std::shared_ptr<const clock> time,
                                     std::shared_ptr<metrics> counters) {
  self->state.counters = std::move(counters);
  self->state.time = std::move(time);
  self->set_down_handler([self](const caf::down_msg& down) {
    auto& state = self->state;
    for (std::uint32_t i = 0; i < state.workers.size(); ++i)
      if (state.workers[i].handle && state.workers[i].handle.address() == down.source)
        state.lost(self, i);
  });
  return {
      [self](compute_atom, job& what) { self->state.enqueue(self, std::move(what)); },
      [self](const worker_credit& credit) {
        if (credit.worker < self->state.workers.size())
          self->state.workers[credit.worker].credit = credit;
        self->state.dispatch(self);
      },
      [self](const step_time& step) { self->state.observe(self, step); },
      [self](refused_atom, std::uint32_t worker, const job_id& id) {
        auto& state = self->state;
        const auto found = state.running.find(id);
        if (found == state.running.end())
          return;
        auto again = found->second.what;
        if (worker < state.workers.size())
          state.workers[worker].credit.free_sequences = 0; // until its next credit
        state.leave(self, worker, id);
        state.enqueue(self, std::move(again));
      },
      [self](finished_atom, std::uint32_t worker, const job_id& id) {
        self->state.leave(self, worker, id);
      },
      [self](resumed_atom, const job_id& id, std::vector<engine::token_id>& tokens) {
        self->state.resume(self, id, std::move(tokens));
      },
      [self](cancel_atom, const job_id& id) { self->state.cancel(self, id); },
      [self](cost_atom, const hash128& model, const cost_curve_ptr& curve) {
        self->state.costs.insert_or_assign(model, cost_model{*curve});
      },
      [self](tick_atom) {
        auto& state = self->state;
        state.ticking = false;
        state.expire(self);
        state.dispatch(self);
        state.keep_ticking(self);
      },
      [self](stats_atom) -> std::string {
        const auto& state = self->state;
        nlohmann::json out{{"waiting", state.waiting.size()},
                           {"running", state.running.size()},
                           {"waiting_ms", state.order.waiting_ms()}};
        const auto per_class = state.order.per_class();
        for (std::uint8_t i = 0; i < store::n_job_classes; ++i)
          out["waiting_by_class"][store::name(static_cast<job_class>(i))] = per_class[i];
        for (const auto& worker : state.workers)
          out["workers"].push_back({{"up", static_cast<bool>(worker.handle)},
                                    {"running", worker.running.size()},
                                    {"free_sequences", worker.credit.free_sequences},
                                    {"step_tokens", worker.budget.max_tokens},
                                    {"prefill_chunk", worker.budget.prefill_chunk}});
        for (const auto& [hash, cost] : state.costs)
          out["cost_error"][hash.hex()] = cost.relative_error();
        return out.dump();
      },
      [self](connect_atom, const peers_ptr& others) { self->state.connect(self, others); },
      [self](configure_atom, const conf::config_ptr& config) {
        self->state.configure(self, config);
      },
  };
}

} // namespace bitnetd::actors
