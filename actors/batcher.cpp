// SPDX-License-Identifier: MIT
#include "actors/batcher.h"

#include "actors/errors.h"
#include "actors/guard.h"
#include "actors/trace.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds batcher_tick{50};
/// A job that ran on so many workers when they ended is not tried on another: it may be why.
constexpr std::uint32_t most_lost_workers = 3;
/// So many steps of a model make its cost worth telling to analysis, and keeping.
constexpr std::uint32_t tell_cost_every = 256;

const hash128& model_of(const job& what) { return what.how->model->description->model_hash; }

} // namespace

// ------------------------------------------------------------------ waiting

void batcher_state::enqueue(batcher_actor::pointer self, held_job held) {
  held.since = time->mono();
  if (held.arrived == mono_time{})
    held.arrived = held.since;
  const auto& what = held.what;
  const auto [at, fresh] = queues.try_emplace(model_of(what));
  auto& order = at->second.order;
  if (fresh && config)
    order.configure(config->profile, config->principals);
  order.push({what.id, what.what->principal, what.how->cls, held.arrived, what.how->deadline,
              what.how->predicted_ms});
  const auto id = what.id;
  waiting.insert_or_assign(id, std::move(held));
  dispatch(self);
  keep_ticking(self);
}

void batcher_state::dispatch(batcher_actor::pointer self) {
  if (!others || !config)
    return;
  while (start_one(self))
    ;
  report_load(self);
}

/// The next job of the next model that has one, and a worker with room for it.
bool batcher_state::start_one(batcher_actor::pointer self) {
  auto at = queues.upper_bound(last_started);
  for (std::size_t i = 0; i < queues.size(); ++i, ++at) {
    if (at == queues.end())
      at = queues.begin();
    auto& [model, queue] = *at;
    const auto choice = queue.order.next(time->mono());
    if (!choice)
      continue;
    auto where = place(*waiting.at(choice->id).what.how, loads, costs[model], config->profile);
    if (!where.worker) {
      queue.blocked = std::move(where.blocked);
      continue;
    }
    last_started = model;
    queue.order.start(choice->id);
    assign(self, std::move(waiting.extract(choice->id).mapped()), *where.worker, choice->reason,
           queue.blocked);
    return true;
  }
  return false;
}

std::string batcher_state::decision(const held_job& held, std::uint32_t worker,
                                    const std::string& why, const std::string& blocked) const {
  if (!config->profile.phases.batching)
    return fmt::format("batching is off: alone on worker {}", worker);
  const auto& how = *held.what.how;
  const auto& lane = loads[worker].lanes.at(model_of(held.what));
  auto out = fmt::format(
      "worker {} with {} others; {} of {} free pages; decode step about {:.1f} ms of {} ms; {}",
      worker, lane.n_running, pages_of(how), lane.room.pages,
      decode_step_ms(costs.at(model_of(held.what)), lane, how),
      config->profile.targets.step.count(), why);
  if (time->mono() - held.since > milliseconds{1} && !blocked.empty())
    out += "; waited because " + blocked;
  if (held.lost_workers > 0)
    out += fmt::format("; goes on after token {}: its worker ended", held.made.size());
  return out;
}

void batcher_state::assign(batcher_actor::pointer self, held_job held, std::uint32_t worker,
                           const std::string& why, const std::string& blocked) {
  auto& what = held.what;
  const auto& how = *what.how;
  if (!std::exchange(held.counted, true))
    counters->phase("batching", !config->profile.phases.batching);
  add_trace("batching", what, held.since, time->mono(),
            [&] { return decision(held, worker, why, blocked); });
  assignment next;
  next.id = what.id;
  next.model_hash = model_of(what);
  next.tokens = how.tokens;
  next.tokens.insert(next.tokens.end(), held.made.begin(), held.made.end());
  next.n_generated = static_cast<std::uint32_t>(held.made.size());
  next.max_new_tokens = how.max_new_tokens;
  next.sampling = how.sampling;
  next.stops = what.what->params.stop;
  next.ignore_eos = what.what->params.ignore_eos;
  next.embedding = what.words().kind == job_kind::embedding;

  loads[worker].assigned(how);
  self->send(others->responder, started_atom_v, what, worker);
  self->send(others->ledger, running_atom_v, what.id);
  send_budget(self, worker, next.model_hash);
  self->send(workers[worker], assign_atom_v, std::move(next));
  const auto id = what.id;
  running.insert_or_assign(id, running_job{std::move(held), worker});
}

// ------------------------------------------------------------------ workers

void batcher_state::credit(batcher_actor::pointer self, const worker_credit& now) {
  if (now.worker >= loads.size())
    return;
  loads[now.worker].update(now);
  if (config)
    for (const auto& [model, room] : now.room)
      send_budget(self, now.worker, model);
  dispatch(self);
}

/// The worker's room was less than we thought: the job waits again, as if it had not been sent.
void batcher_state::refused(batcher_actor::pointer self, std::uint32_t worker, const job_id& id) {
  auto node = running.extract(id);
  if (node.empty())
    return;
  auto& [held, ran_on] = node.mapped();
  if (worker < loads.size()) {
    loads[worker].left(*held.what.how);
    loads[worker].lanes[model_of(held.what)].room = {}; // until its next credit, which follows
  }
  if (!held.what.trace.empty())
    held.what.trace.pop_back();
  enqueue(self, std::move(held));
}

void batcher_state::leave(batcher_actor::pointer self, const job_id& id) {
  recalled.erase(id);
  if (const auto node = running.extract(id); !node.empty())
    loads[node.mapped().worker].left(*node.mapped().held.what.how);
  dispatch(self);
}

void batcher_state::lost(batcher_actor::pointer self, std::uint32_t worker) {
  workers[worker] = nullptr;
  loads[worker] = {};
  std::vector<job_id> ids;
  for (auto at = running.begin(); at != running.end();) {
    const auto here = at++;
    if (here->second.worker != worker)
      continue;
    ids.push_back(here->first);
    auto held = std::move(running.extract(here).mapped().held);
    ++held.lost_workers;
    recalled.insert_or_assign(ids.back(), std::move(held));
  }
  log::warn("worker {} is gone; its {} jobs move", worker, ids.size());
  if (!ids.empty())
    self->send(others->responder, recall_atom_v, std::move(ids));
}

void batcher_state::resume(batcher_actor::pointer self, const job_id& id,
                           std::vector<engine::token_id> tokens) {
  auto node = recalled.extract(id);
  if (node.empty())
    return;
  auto& held = node.mapped();
  if (held.lost_workers >= most_lost_workers) {
    self->send(others->responder, failed_atom_v, id,
               internal(fmt::format("{} workers ended while the job ran", held.lost_workers)),
               std::move(held.what.trace));
    return;
  }
  held.made = std::move(tokens);
  enqueue(self, std::move(held));
}

void batcher_state::observe(batcher_actor::pointer self, const step_time& step) {
  counters->step(step.n_decode + step.n_prefill, step.milliseconds);
  costs[step.model_hash].learn(
      {step.n_decode, step.n_prefill, step.context_sum, step.milliseconds});
  if (auto& n = steps_since_told[step.model_hash]; ++n >= tell_cost_every) {
    n = 0;
    self->send(others->supervisor, cost_atom_v, step.model_hash,
               std::make_shared<const cost_curve>(costs[step.model_hash].as_curve()));
  }
  if (step.worker >= loads.size())
    return;
  loads[step.worker].stepped(step);
  send_budget(self, step.worker, step.model_hash);
}

void batcher_state::send_budget(batcher_actor::pointer self, std::uint32_t worker,
                                const hash128& model) {
  const auto lane = loads[worker].lanes.find(model);
  if (lane == loads[worker].lanes.end() || !workers[worker])
    return;
  const auto next = budget_for(model, lane->second, costs[model], config->profile);
  auto& told = lane->second.told;
  if (told && told->max_tokens == next.max_tokens && told->prefill_chunk == next.prefill_chunk &&
      told->threads == next.threads)
    return;
  told = next;
  self->send(workers[worker], budget_atom_v, next);
}

// ------------------------------------------------------------------ ends

void batcher_state::cancel(batcher_actor::pointer self, const job_id& id) {
  if (const auto found = running.find(id); found != running.end()) {
    self->send(workers[found->second.worker], cancel_atom_v, id);
    return;
  }
  auto held = waiting.extract(id);
  if (!held.empty())
    queues[model_of(held.mapped().what)].order.remove(id);
  else
    held = recalled.extract(id);
  if (held.empty()) {
    self->send(others->responder, cancel_atom_v, id);
    return;
  }
  self->send(others->responder, failed_atom_v, id, cancelled(),
             std::move(held.mapped().what.trace));
  dispatch(self);
}

void batcher_state::expire(batcher_actor::pointer self) {
  for (auto& [model, queue] : queues)
    for (const auto& id : queue.order.take_expired(time->mono()))
      self->send(others->responder, failed_atom_v, id,
                 deadline_passed("the deadline passed while the job waited for a worker"),
                 std::move(waiting.extract(id).mapped().what.trace));
}

void batcher_state::keep_ticking(batcher_actor::pointer self) {
  if (!waiting.empty() && !std::exchange(ticking, true))
    self->delayed_send(self, batcher_tick, tick_atom_v);
}

// ------------------------------------------------------------------ settings, figures

void batcher_state::connect(batcher_actor::pointer self, const peers_ptr& next) {
  others = next;
  workers.resize(next->workers.size());
  loads.resize(next->workers.size());
  for (std::uint32_t i = 0; i < workers.size(); ++i) {
    if (workers[i] == next->workers[i])
      continue;
    if (workers[i]) // its successor is here before the news of its end
      lost(self, i);
    workers[i] = next->workers[i];
    loads[i].up = static_cast<bool>(workers[i]);
    if (workers[i])
      self->monitor(workers[i]);
  }
  if (config)
    configure(self, config);
}

void batcher_state::configure(batcher_actor::pointer self, const conf::config_ptr& next) {
  config = next;
  for (auto& [model, queue] : queues)
    queue.order.configure(next->profile, next->principals);
  if (!others)
    return;
  const auto window =
      4 * next->profile.batch.max_sequences * static_cast<std::uint32_t>(workers.size());
  self->send(others->ledger, credit_atom_v, std::max(1u, window));
  for (std::uint32_t i = 0; i < loads.size(); ++i)
    for (const auto& [model, lane] : loads[i].lanes)
      send_budget(self, i, model);
  dispatch(self);
}

void batcher_state::report_load(batcher_actor::pointer self) {
  double ms = 0;
  std::size_t up = 0;
  for (const auto& [model, queue] : queues)
    ms += queue.order.waiting_ms();
  for (const auto& worker : loads) {
    ms += worker.running_ms;
    up += worker.up ? 1 : 0;
  }
  ms /= static_cast<double>(std::max<std::size_t>(up, 1));
  if (std::abs(ms - told_load_ms) < 1)
    return;
  told_load_ms = ms;
  self->send(others->analyzer, load_atom_v, ms);
}

std::string batcher_state::stats() const {
  double waiting_ms = 0;
  std::array<std::size_t, store::n_job_classes> by_class{};
  for (const auto& [model, queue] : queues) {
    waiting_ms += queue.order.waiting_ms();
    const auto here = queue.order.per_class();
    for (std::size_t i = 0; i < by_class.size(); ++i)
      by_class[i] += here[i];
  }
  nlohmann::json out{
      {"waiting", waiting.size()}, {"running", running.size()}, {"waiting_ms", waiting_ms}};
  for (std::uint8_t i = 0; i < store::n_job_classes; ++i)
    out["waiting_by_class"][store::name(static_cast<job_class>(i))] = by_class[i];
  for (const auto& worker : loads) {
    nlohmann::json one{{"up", worker.up}, {"running", worker.n_running}};
    for (const auto& [model, lane] : worker.lanes)
      one["models"][model.hex()] = {{"running", lane.n_running},
                                    {"free_sequences", lane.room.sequences},
                                    {"free_pages", lane.room.pages},
                                    {"step_tokens", lane.told ? lane.told->max_tokens : 0},
                                    {"prefill_chunk", lane.told ? lane.told->prefill_chunk : 0}};
    out["workers"].push_back(std::move(one));
  }
  for (const auto& [model, cost] : costs)
    out["cost_error"][model.hex()] = cost.relative_error();
  return out.dump();
}

batcher_actor::behavior_type batcher(batcher_actor::stateful_pointer<batcher_state> self,
                                     std::shared_ptr<const clock> time,
                                     std::shared_ptr<metrics> counters) {
  self->state.counters = std::move(counters);
  self->state.time = std::move(time);
  log_exceptions(self);
  self->set_down_handler([self](const caf::down_msg& down) {
    auto& state = self->state;
    for (std::uint32_t i = 0; i < state.workers.size(); ++i)
      if (state.workers[i] && state.workers[i].address() == down.source)
        state.lost(self, i);
  });
  return in_groups<batcher_actor>(
      self, self->state.groups,
      [self](compute_atom, job& what) {
        batcher_state::held_job held;
        held.what = std::move(what);
        if (held.what.made)
          held.made = held.what.made->tokens;
        self->state.enqueue(self, std::move(held));
      },
      [self](const worker_credit& now) { self->state.credit(self, now); },
      [self](const step_time& step) { self->state.observe(self, step); },
      [self](refused_atom, std::uint32_t worker, const job_id& id) {
        self->state.refused(self, worker, id);
      },
      [self](finished_atom, std::uint32_t, const job_id& id) { self->state.leave(self, id); },
      [self](resumed_atom, const job_id& id, std::vector<engine::token_id>& tokens) {
        self->state.resume(self, id, std::move(tokens));
      },
      [self](cancel_atom, const job_id& id) { self->state.cancel(self, id); },
      [self](cost_atom, const hash128& model, const cost_curve_ptr& curve) {
        // What live steps have taught is worth more than what was measured once.
        if (auto& known = self->state.costs[model]; !known.trained())
          known = cost_model{*curve};
      },
      [self](tick_atom) {
        auto& state = self->state;
        state.ticking = false;
        state.expire(self);
        state.dispatch(self);
        state.keep_ticking(self);
      },
      [self](stats_atom) -> std::string { return self->state.stats(); },
      [self](connect_atom, const peers_ptr& others) { self->state.connect(self, others); },
      [self](configure_atom, const conf::config_ptr& config) {
        self->state.configure(self, config);
      });
}

} // namespace bitnetd::actors
