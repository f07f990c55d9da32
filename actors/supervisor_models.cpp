// SPDX-License-Identifier: MIT
#include "actors/model_registry.h"
#include "actors/step_cost.h"
#include "actors/supervisor_state.h"
#include "base/log.h"

#include <caf/event_based_actor.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

// What is served, and under which configuration.

namespace bitnetd::actors {

void supervisor_state::configure(supervisor_actor::pointer self) {
  const auto config = parts.options.settings->current();
  log::set_level(parts.options.log_level.value_or(config->log.level));
  self->send(parts.options.door, configure_atom_v, config);
  for (const auto& worker : members->workers)
    if (worker)
      self->send(worker, configure_atom_v, config);
  self->send(members->responder, configure_atom_v, config);
  self->send(members->batcher, configure_atom_v, config);
  self->send(members->keeper, configure_atom_v, config);
  self->send(members->cache, configure_atom_v, config);
  self->send(members->ledger, configure_atom_v, config);
  self->send(members->analyzer, configure_atom_v, config);
}

void supervisor_state::reload(supervisor_actor::pointer self, const conf::reload_report& report) {
  parts.counters->reload(report.problems.empty());
  nlohmann::json told{{"version", report.version}, {"applied", report.applied}};
  for (const auto& problem : report.problems)
    told["problems"].push_back(problem.text());
  for (const auto& change : report.changed)
    told["changed"].push_back(change.path);
  self->send(parts.options.outbox, event{"config", told.dump()});
  if (!report.applied)
    return;
  configure(self);
  load_changed_models(self);
}

/// Loading takes its time: in a thread of its own, while the old models serve. One at a time; what
/// changes meanwhile is loaded afterwards.
void supervisor_state::load_changed_models(supervisor_actor::pointer self) {
  const auto config = parts.options.settings->current();
  if (loading || same_models(config->models, parts.models))
    return;
  loading = true;
  // The receiver is an argument because CAF 0.17.6 dereferences a null pointer where there is none.
  const auto load = [copy = parts, config](caf::event_based_actor* loader,
                                           const supervisor_actor& to) {
    auto out = std::make_shared<loaded_models>();
    out->wanted = config->models;
    out->models = copy.models;
    try {
      out->models = load_models(config->models, copy.nodes, *copy.kernels, copy.models,
                                config->hardware.model_bytes);
      out->curves = curves_of(out->models, copy, *config);
    } catch (const std::exception& error) {
      out->models = copy.models;
      out->error = error.what();
    }
    loader->send(to, loaded_atom_v, loaded_models_ptr{std::move(out)});
  };
  self->system().spawn<caf::detached>(load, supervisor_actor{self});
}

void supervisor_state::models_came(supervisor_actor::pointer self, const loaded_models& loaded) {
  loading = false;
  if (!loaded.error.empty()) {
    log::error("models stay as they are: {}", loaded.error);
    self->send(parts.options.outbox,
               event{"alert", nlohmann::json{{"what", "models"}, {"msg", loaded.error}}.dump()});
  } else {
    for (const auto& model : *parts.models)
      if (std::ranges::find(*loaded.models, model) == loaded.models->end()) {
        log::info("model {} is not served any more; its jobs end", model->name);
        retiring.emplace_back(model);
      }
    parts.models = loaded.models;
    for (const auto& [hash, curve] : loaded.curves)
      parts.curves.insert_or_assign(hash, curve);
    send_curves(self);
    send_models(self);
  }
  if (loaded.wanted != parts.options.settings->current()->models)
    load_changed_models(self); // the files changed while these were loaded
}

/// Models that workers hold: those that are served, and those that a job still needs. Handles are
/// with the jobs: the last one to end lets its model go.
model_set supervisor_state::held_models() const {
  auto out = std::make_shared<std::vector<model_handle>>(*parts.models);
  for (const auto& model : retiring)
    if (auto held = model.lock())
      out->push_back(std::move(held));
  return out;
}

void supervisor_state::send_models(supervisor_actor::pointer self) {
  for (const auto& worker : members->workers)
    if (worker)
      self->send(worker, models_atom_v, held_models());
  self->send(members->cache, models_atom_v, parts.models);
  self->send(members->analyzer, models_atom_v, parts.models);
}

void supervisor_state::send_curves(supervisor_actor::pointer self) {
  for (const auto& [model, curve] : parts.curves) {
    self->send(members->batcher, cost_atom_v, model, curve);
    self->send(members->analyzer, cost_atom_v, model, curve);
  }
}

void supervisor_state::cost_came(supervisor_actor::pointer self, const hash128& model,
                                 const cost_curve_ptr& curve) {
  parts.curves.insert_or_assign(model, curve);
  self->send(members->analyzer, cost_atom_v, model, curve);
  (void)write_cost(cost_file_of(model, parts, *parts.options.settings->current()), *curve);
}

} // namespace bitnetd::actors
