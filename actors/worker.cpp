// SPDX-License-Identifier: MIT
#include "actors/worker.h"

#include "actors/guard.h"
#include "base/fault.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

/// Buffers for at least so many rows, so that `batch.max_tokens` can be raised while models serve.
constexpr std::uint32_t least_step_tokens = 1024;

} // namespace

void worker_state::serve(worker_actor::pointer self, const model_set& next) {
  if (!running) {
    sequences::settings with;
    with.max_sequences = config->hardware.max_sequences;
    with.kv_bytes = config->hardware.kv_bytes;
    with.kv = engine::find_kv_type(config->hardware.kv_type).value();
    with.node = options.index;
    with.max_step_tokens = std::max(least_step_tokens, config->profile.batch.max_tokens);
    running = std::make_unique<sequences>(*node, *options.kernels, with);
  }
  running->serve(next);
  send_credit(self);
}

/// What one job makes go wrong ends that job only.
std::optional<sequences::refusal> worker_state::try_assign(const assignment& what) {
  if (!running)
    return sequences::refusal{true, "this worker holds no model yet"};
  try {
    return running->assign(what, options.time->mono());
  } catch (const std::exception& error) {
    log::error("worker {}: job {}: {}", options.index, what.id.text(), error.what());
    return sequences::refusal{false, error.what()};
  }
}

void worker_state::assign(worker_actor::pointer self, const assignment& what) {
  const auto refused = try_assign(what);
  if (!refused) {
    wake(self);
    return;
  }
  if (refused->no_room) { // the batcher's picture was older than our last change
    self->send(others->batcher, refused_atom_v, options.index, what.id);
    if (running)
      send_credit(self);
    return;
  }
  finished end; // a model that was just unloaded, or a mistake of ours: it ends this job only
  end.id = what.id;
  end.finish = finish_kind::refused;
  end.reason = refused->reason;
  self->send(others->batcher, finished_atom_v, options.index, what.id);
  self->send(others->responder, std::move(end));
}

void worker_state::embed(worker_actor::pointer self, const embed_request& what) {
  if (running && running->embed(what))
    wake(self);
  else
    self->send(others->cache, embedded{what.ticket, {}});
}

void worker_state::step(worker_actor::pointer self) {
  BITNETD_FAULT_POINT("worker.step");
  auto now = running->step(options.time->mono());
  for (auto& vector : now.vectors)
    self->send(others->cache, std::move(vector));
  for (auto& piece : now.outputs)
    self->send(others->responder, std::move(piece));
  if (now.cost) // counted before anybody hears of what ended with it
    self->send(others->batcher, *now.cost);
  for (auto& end : now.ends) {
    self->send(others->batcher, finished_atom_v, options.index, end.id);
    self->send(others->responder, std::move(end));
  }
  if (!now.ends.empty())
    send_credit(self);
}

void worker_state::plan(const step_budget& budget) {
  node->set_threads(budget.threads);
  if (running)
    running->plan(budget);
}

void worker_state::wake(worker_actor::pointer self) {
  if (!std::exchange(stepping, true))
    self->send(self, step_atom_v);
}

void worker_state::send_credit(worker_actor::pointer self) {
  self->send(others->batcher, running->credit());
}

worker_actor::behavior_type worker(worker_actor::stateful_pointer<worker_state> self,
                                   worker_options options) {
  auto& state = self->state;
  state.options = std::move(options);
  state.node = std::make_unique<engine::compute_node>(state.options.node, state.options.threads);
  if (state.options.own_thread)
    state.node->adopt_this_thread();
  log_exceptions(self);
  return {
      [self](assign_atom, const assignment& what) { self->state.assign(self, what); },
      [self](cancel_atom, const job_id& id) {
        if (self->state.running) {
          self->state.running->cancel(id);
          self->state.wake(self);
        }
      },
      [self](taken_atom, const job_id& id) {
        if (self->state.running) {
          self->state.running->taken(id);
          self->state.wake(self);
        }
      },
      [self](embed_atom, const embed_request& what) { self->state.embed(self, what); },
      [self](budget_atom, const step_budget& next) { self->state.plan(next); },
      [self](models_atom, const model_set& models) { self->state.serve(self, models); },
      // One step per message, so that new sequences and cancels get in between two tokens.
      [self](step_atom) {
        auto& now = self->state;
        now.step(self);
        now.stepping = !now.running->idle();
        if (now.stepping)
          self->send(self, step_atom_v);
      },
      [self](stats_atom) -> std::string {
        const auto& now = self->state;
        nlohmann::json out{{"worker", now.options.index},
                           {"threads", now.node->threads()},
                           {"cpus", now.options.node.cpus}};
        if (now.running) {
          const auto cost = now.running->counters();
          out["open"] = now.running->open();
          out["steps"] = now.running->steps();
          out["memory_bound"] = now.running->memory_bound();
          out["weight_bytes"] = cost.weight_bytes;
          out["kv_bytes"] = cost.kv_bytes;
          out["additions"] = cost.additions;
          out["zero_additions"] = cost.zero_additions;
          out["compute_seconds"] = static_cast<double>(cost.nanoseconds) * 1e-9;
          out["joules_estimated"] = engine::estimate_joules(cost, true);
        }
        return out.dump();
      },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; },
  };
}

} // namespace bitnetd::actors
