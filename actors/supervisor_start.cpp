// SPDX-License-Identifier: MIT
#include "actors/model_registry.h"
#include "actors/step_cost.h"
#include "actors/supervisor.h"
#include "actors/supervisor_state.h"
#include "base/log.h"
#include "engine/errors.h"
#include "engine/kernels/kernel_table.h"
#include "store/jobs_salvage.h"

#include <caf/scoped_actor.hpp>

#include <stdexcept>
#include <utility>

// What comes before the first actor: stores, models, step costs. What is refused is thrown to the
// one who starts the daemon.

namespace bitnetd::actors {

namespace {

constexpr std::chrono::seconds coming_up{30};

engine::kv_type kv_of(const conf::config& config) {
  return engine::find_kv_type(config.hardware.kv_type).value();
}

std::size_t threads_of(const supervisor_parts& parts, const conf::config& config) {
  return config.profile.threads > 0 ? config.profile.threads : parts.nodes.front().cpus.size();
}

/// The answers are a cache: without them the daemon works, and says so.
std::shared_ptr<store::answers_db>
open_answers(const conf::config& config, const std::shared_ptr<const store::resources>& shared) {
  try {
    store::answers_options options;
    options.shared = shared;
    auto out = std::make_shared<store::answers_db>(config.cache_directory / "answers", options);
    if (!out->wiped().empty())
      log::warn("cache: the stored answers were damaged and are gone: {}", out->wiped());
    return out;
  } catch (const store::open_error& error) {
    log::error("cache: {}; answers are not kept", error.what());
    return nullptr;
  }
}

/// Opens the journal; what was lost of it, in one line, goes into `parts`.
void open_jobs(supervisor_parts& parts, const conf::config& config,
               const std::shared_ptr<const store::resources>& shared) {
  store::jobs_options options;
  options.shared = shared;
  auto opened = store::open_or_salvage(config.state_directory / "jobs", options);
  parts.jobs = std::move(opened.jobs);
  if (const auto& report = opened.salvaged) {
    parts.lost = fmt::format("the journal was damaged: {} jobs were saved, {} facts and {} jobs "
                             "without a name are lost; listed in {}, kept as {}",
                             report->jobs_saved, report->lost.size(), report->jobs_unknown,
                             report->list.string(), report->kept.string());
  } else if (const auto& loss = parts.jobs->loss_at_open()) {
    parts.lost = fmt::format("the journal lost its end: {} writes that had been synced are missing "
                             "({} accepted jobs before, {} found)",
                             loss->lost_writes, loss->accepted_before, loss->accepted_found);
  }
  if (!parts.lost.empty())
    log::error("{}", parts.lost);
}

} // namespace

std::filesystem::path cost_file_of(const hash128& model, const supervisor_parts& parts,
                                   const conf::config& config) {
  return cost_file(config.cache_directory, model, parts.kernels->name, threads_of(parts, config),
                   config.hardware.kv_type);
}

std::map<hash128, cost_curve_ptr> curves_of(const model_set& models, const supervisor_parts& parts,
                                            const conf::config& config) {
  std::map<hash128, cost_curve_ptr> out;
  for (const auto& model : *models) {
    const auto file = cost_file_of(model->description->model_hash, parts, config);
    auto curve = read_cost(file);
    if (!curve) {
      engine::compute_node compute{parts.nodes.front(), threads_of(parts, config)};
      curve = measure_step_cost(*model, 0, compute, *parts.kernels, kv_of(config));
      if (!write_cost(file, *curve))
        log::warn("the step cost of {} could not be kept in {}", model->name, file.string());
    }
    out.emplace(model->description->model_hash, std::make_shared<const cost_curve>(*curve));
  }
  return out;
}

supervisor_actor spawn_supervisor(caf::actor_system& system, supervisor_options options) {
  const auto config = options.settings->current();
  supervisor_parts parts;
  parts.options = std::move(options);
  parts.counters = std::make_shared<metrics>();
  parts.nodes = nodes_of(config->hardware);
  parts.kernels = engine::find_kernels(config->hardware.isa);
  if (!parts.kernels)
    throw engine::load_error("hardware.isa: this CPU lacks " + config->hardware.isa +
                             "; use auto or scalar");
  if (parts.kernels->name == "scalar")
    log::warn("kernels: scalar, as on a CPU without AVX2 (or sdot, on ARM): answers are the same, "
              "many times slower");
  const auto shared = std::make_shared<const store::resources>();
  open_jobs(parts, *config, shared);
  parts.answers = open_answers(*config, shared);
  parts.models = load_models(config->models, parts.nodes, *parts.kernels,
                             std::make_shared<const std::vector<model_handle>>(),
                             config->hardware.model_bytes);
  parts.curves = curves_of(parts.models, parts, *config);
  const auto n_workers = parts.nodes.size();
  const auto kernels = parts.kernels->name;
  auto handle = system.spawn<caf::detached>(supervisor, std::move(parts));
  caf::scoped_actor self{system};
  bool ready = false;
  self->request(handle, coming_up + seconds{1}, ready_atom_v)
      .receive([&](bool up) { ready = up; }, [](const caf::error&) {});
  if (!ready) {
    self->send(handle, stop_atom_v, 0u);
    throw std::runtime_error("the pipeline did not come up within 30 s");
  }
  log::info("ready: {} workers, kernels {}, profile {}", n_workers, kernels, config->profile.name);
  return handle;
}

} // namespace bitnetd::actors
