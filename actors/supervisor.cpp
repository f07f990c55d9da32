// SPDX-License-Identifier: MIT
#include "actors/supervisor.h"

#include "actors/analyzer.h"
#include "actors/batcher.h"
#include "actors/cache.h"
#include "actors/cache_keeper.h"
#include "actors/ledger.h"
#include "actors/metrics.h"
#include "actors/model_registry.h"
#include "actors/responder.h"
#include "actors/step_cost.h"
#include "actors/supervisor_state.h"
#include "actors/worker.h"
#include "base/log.h"
#include "conf/schema.h"
#include "engine/kernels/kernel_table.h"
#include "store/answers_db.h"
#include "store/jobs_db.h"

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::seconds request_timeout{30};
constexpr std::chrono::milliseconds tick_interval{250};
constexpr std::size_t max_restarts = 5; // of workers, within
constexpr std::chrono::seconds restart_window{60};

engine::kv_type kv_of(const conf::config& config) {
  return config.hardware.kv_type == "f32" ? engine::kv_type::f32 : engine::kv_type::f16;
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

std::shared_ptr<store::jobs_db> open_jobs(const conf::config& config,
                                          const std::shared_ptr<const store::resources>& shared) {
  store::jobs_options options;
  options.shared = shared;
  auto out = std::make_shared<store::jobs_db>(config.state_directory / "jobs", options);
  if (const auto& loss = out->loss_at_open())
    log::error("journal: {} writes that had been synced are missing ({} accepted jobs before, {} "
               "found)",
               loss->lost_writes, loss->accepted_before, loss->accepted_found);
  return out;
}

/// Names of the profiles/*.yaml beside the configuration file, sorted.
std::vector<std::string> profiles_beside(const std::filesystem::path& file) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator{file.parent_path() / "profiles", error})
    if (entry.path().extension() == ".yaml")
      out.push_back(entry.path().stem().string());
  std::ranges::sort(out);
  return out;
}

} // namespace

std::map<hash128, cost_curve_ptr> curves_of(const model_set& models, const supervisor_parts& parts,
                                            const conf::config& config) {
  std::map<hash128, cost_curve_ptr> out;
  for (const auto& model : *models) {
    const auto& node = parts.nodes.front();
    const auto threads = config.profile.threads > 0 ? config.profile.threads : node.cpus.size();
    const auto file = cost_file(config.cache_directory, model->description->model_hash,
                                parts.kernels->name, threads, config.hardware.kv_type);
    auto curve = read_cost(file);
    if (!curve) {
      engine::compute_node compute{node, threads};
      curve = measure_step_cost(*model, 0, compute, *parts.kernels, kv_of(config));
      if (!write_cost(file, *curve))
        log::warn("the step cost of {} could not be kept in {}", model->name, file.string());
    }
    out.emplace(model->description->model_hash, std::make_shared<const cost_curve>(*curve));
  }
  return out;
}

// ------------------------------------------------------------------ the tree

worker_actor supervisor_state::spawn_worker(supervisor_actor::pointer self, std::uint32_t index) {
  const auto config = parts.options.settings->current();
  worker_options options;
  options.index = index;
  options.node = parts.nodes[index];
  options.threads = config->profile.threads;
  options.kernels = parts.kernels;
  options.time = parts.options.time;
  auto handle = self->system().spawn<caf::detached>(worker, std::move(options));
  self->monitor(handle);
  return handle;
}

void supervisor_state::spawn_all(supervisor_actor::pointer self) {
  const auto& time = parts.options.time;
  auto& system = self->system();
  peers all;
  all.outbox = parts.options.outbox;
  all.supervisor = self;
  all.responder = system.spawn(responder, time, parts.counters);
  all.batcher = system.spawn(batcher, time, parts.counters);
  all.keeper = system.spawn<caf::detached>(cache_keeper, time, parts.counters, parts.answers);
  all.cache = system.spawn(cache, time, parts.counters, parts.answers);
  ledger_options journal{time, parts.counters, parts.jobs, parts.options.decode,
                         parts.options.encode};
  all.ledger = system.spawn<caf::detached>(ledger, std::move(journal));
  const auto last = parts.jobs->last_id();
  all.analyzer =
      system.spawn(analyzer, time, parts.counters, store::job_id_source{last ? *last : job_id{}});
  for (std::uint32_t i = 0; i < parts.nodes.size(); ++i)
    all.workers.push_back(spawn_worker(self, i));
  self->monitor(all.responder);
  self->monitor(all.batcher);
  self->monitor(all.keeper);
  self->monitor(all.cache);
  self->monitor(all.ledger);
  self->monitor(all.analyzer);
  members = std::make_shared<const peers>(std::move(all));
  // Everyone knows the others and the settings before the first model comes: a worker answers its
  // models with credit, and the batcher must know whose credit that is.
  configure(self);
  connect(self);
  send_models(self);
  open_doors(self);
}

/// Everyone but those who bring work.
void supervisor_state::connect(supervisor_actor::pointer self) {
  self->send(members->responder, connect_atom_v, members);
  self->send(members->batcher, connect_atom_v, members);
  self->send(members->keeper, connect_atom_v, members);
  self->send(members->cache, connect_atom_v, members);
  self->send(members->analyzer, connect_atom_v, members);
  for (const auto& worker : members->workers)
    if (worker)
      self->send(worker, connect_atom_v, members);
}

void supervisor_state::open_doors(supervisor_actor::pointer self) {
  self->send(members->ledger, connect_atom_v, members);    // begins to run the backlog
  self->send(parts.options.door, connect_atom_v, members); // lets clients in
}

void supervisor_state::configure(supervisor_actor::pointer self) {
  const auto config = parts.options.settings->current();
  log::set_level(config->log.level);
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

void supervisor_state::send_models(supervisor_actor::pointer self) {
  for (const auto& worker : members->workers)
    if (worker)
      self->send(worker, models_atom_v, parts.models);
  for (const auto& [model, curve] : parts.curves) {
    self->send(members->batcher, cost_atom_v, model, curve);
    self->send(members->analyzer, cost_atom_v, model, curve);
  }
  self->send(members->cache, models_atom_v, parts.models);
  self->send(members->analyzer, models_atom_v, parts.models);
}

void supervisor_state::down(supervisor_actor::pointer self, const caf::down_msg& what) {
  if (stopping)
    return;
  auto next = *members;
  const auto lost = std::ranges::find_if(
      next.workers, [&](const auto& w) { return w && w.address() == what.source; });
  if (lost == next.workers.end()) {
    // State that nobody else has is gone: start over. The journal has every durable job.
    log::critical("an actor of the pipeline ended ({}): the daemon restarts",
                  self->system().render(what.reason));
    failed = true;
    return;
  }
  const auto index = static_cast<std::uint32_t>(lost - next.workers.begin());
  const auto now = parts.options.time->mono();
  std::erase_if(restarts, [&](mono_time t) { return now - t > restart_window; });
  restarts.push_back(now);
  parts.counters->worker_lost();
  self->send(parts.options.outbox,
             event{"alert", nlohmann::json{{"what", "worker"}, {"worker", index}}.dump()});
  if (restarts.size() > max_restarts) {
    log::critical("worker {} ended again, {} restarts in a minute: the daemon restarts", index,
                  restarts.size());
    failed = true;
    return;
  }
  *lost = spawn_worker(self, index);
  const auto fresh = *lost;
  members = std::make_shared<const peers>(std::move(next));
  self->send(fresh, configure_atom_v, parts.options.settings->current());
  connect(self); // the batcher knows the new handle before its first credit comes
  open_doors(self);
  self->send(fresh, models_atom_v, parts.models);
}

// ------------------------------------------------------------------ configuration

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
  const auto config = parts.options.settings->current();
  if (same_models(config->models, parts.models) || std::exchange(loading, true))
    return;
  // Loading takes its time: in a thread of its own, while the old models serve.
  const supervisor_actor me{self};
  const auto copy = parts;
  self->system().spawn<caf::detached>([me, copy, config](caf::event_based_actor* loader) {
    try {
      auto models = load_models(config->models, copy.nodes, *copy.kernels, copy.models);
      loader->send(me, loaded_atom_v, std::move(models), std::string{});
    } catch (const std::exception& error) {
      loader->send(me, loaded_atom_v, copy.models, std::string{error.what()});
    }
  });
}

void supervisor_state::models_came(supervisor_actor::pointer self, model_set models,
                                   const std::string& error) {
  loading = false;
  if (!error.empty()) {
    log::error("models stay as they are: {}", error);
    self->send(parts.options.outbox,
               event{"alert", nlohmann::json{{"what", "models"}, {"msg", error}}.dump()});
    return;
  }
  parts.models = std::move(models);
  for (auto& [hash, curve] : curves_of(parts.models, parts, *parts.options.settings->current()))
    parts.curves.insert_or_assign(hash, curve);
  send_models(self);
}

// ------------------------------------------------------------------ administration

void supervisor_state::tell(supervisor_actor::pointer self, const admin_request& who,
                            std::string type, std::string body) {
  reply out;
  out.to = who.reply_to;
  out.principal = who.principal;
  out.what = reply_document{std::move(type), std::move(body)};
  self->send(parts.options.outbox, std::move(out));
}

void supervisor_state::tell_report(supervisor_actor::pointer self, const admin_request& who,
                                   const conf::reload_report& report, nlohmann::json extra) {
  if (!report.problems.empty()) {
    std::string all;
    for (const auto& problem : report.problems)
      all += (all.empty() ? "" : "\n") + problem.text();
    reply out;
    out.to = who.reply_to;
    out.principal = who.principal;
    out.what = reply_error{{106, "E_CONFIG", std::move(all), {}, {}, {}}, std::nullopt, {}, {}, {}};
    self->send(parts.options.outbox, std::move(out));
    return;
  }
  extra["version"] = report.version;
  extra["applied"] = report.applied;
  extra["changed"] = nlohmann::json::array();
  for (const auto& change : report.changed)
    extra["changed"].push_back({{"path", change.path},
                                {"old", change.before},
                                {"new", change.after},
                                {"effect", conf::to_text(change.acts)}});
  tell(self, who, "ok", extra.dump());
}

void supervisor_state::administer(supervisor_actor::pointer self, const admin_request& what) {
  auto& settings = *parts.options.settings;
  if (what.type == "reload") {
    const auto report = settings.reload(what.dry_run);
    if (!what.dry_run)
      reload(self, report);
    tell_report(self, what, report, {});
  } else if (what.type == "profile") {
    conf::reload_report report;
    if (!what.name.empty()) {
      report = settings.use_profile(what.name);
      reload(self, report);
    }
    report.version = settings.current()->version;
    tell_report(self, what, report,
                {{"active", settings.current()->profile.name},
                 {"available", profiles_beside(settings.current()->file)}});
  } else if (what.type == "drain" || what.type == "undrain") {
    drain(self, what.type == "drain");
    self->request(members->ledger, request_timeout, count_atom_v)
        .then([this, self, what](std::uint64_t open) {
          tell(self, what, "ok",
               nlohmann::json{{"state", draining ? "draining" : "ready"}, {"open_jobs", open}}
                   .dump());
        });
  } else if (what.type == "models") {
    tell(self, what, "models", describe_models(parts.models));
  } else if (what.type == "metrics") {
    tell(self, what, "metrics", nlohmann::json{{"text", parts.counters->render()}}.dump());
  } else if (what.type == "stats") {
    gather_stats(self, what);
  }
}

void supervisor_state::gather_stats(supervisor_actor::pointer self, const admin_request& what) {
  struct gathering {
    nlohmann::json out;
    std::size_t waiting = 0;
  };
  const auto config = parts.options.settings->current();
  const auto up = parts.options.time->mono() - started;
  auto all = std::make_shared<gathering>();
  all->out = {{"state", draining ? "draining" : "ready"},
              {"uptime_s", std::chrono::duration_cast<seconds>(up).count()},
              {"profile", config->profile.name},
              {"config_version", config->version},
              {"isa", parts.kernels->name},
              {"metrics", nlohmann::json::parse(parts.counters->json())},
              {"workers", nlohmann::json::array()}};
  const auto part = [this, self, what, all](std::string key) {
    ++all->waiting;
    return [this, self, what, all, key](std::string text) {
      auto value = nlohmann::json::parse(text, nullptr, false);
      if (key == "workers")
        all->out["workers"].push_back(std::move(value));
      else
        all->out[key] = std::move(value);
      if (--all->waiting == 0)
        tell(self, what, "stats", all->out.dump());
    };
  };
  const auto ask = [&](const auto& actor, std::string key) {
    auto take = part(std::move(key));
    self->request(actor, request_timeout, stats_atom_v).then(take, [take](const caf::error&) {
      take("{\"error\": \"no answer\"}");
    });
  };
  for (const auto& worker : members->workers)
    if (worker)
      ask(worker, "workers");
  ask(members->batcher, "batcher");
  ask(members->cache, "cache");
}

// ------------------------------------------------------------------ drain, stop, health

void supervisor_state::drain(supervisor_actor::pointer self, bool on) {
  draining = on;
  log::info("{}", on ? "draining: no new jobs are accepted" : "accepting jobs again");
  self->send(members->analyzer, drain_atom_v, on);
}

void supervisor_state::stop(supervisor_actor::pointer self, std::uint32_t limit_s) {
  if (std::exchange(stopping, true))
    limit_s = 0; // told twice: at once
  else
    drain(self, true);
  self->send(members->ledger, drain_atom_v, true); // what waits on disk stays there
  stop_at = parts.options.time->mono() + seconds{limit_s};
}

void supervisor_state::end_all(supervisor_actor::pointer self) {
  const auto bye = caf::exit_reason::user_shutdown;
  self->send_exit(members->analyzer, bye);
  for (const auto& worker : members->workers)
    if (worker)
      self->send_exit(worker, bye);
  self->send_exit(members->batcher, bye);
  self->send_exit(members->responder, bye);
  self->send_exit(members->cache, bye);
  self->send_exit(members->keeper, bye);
  self->send_exit(members->ledger, bye);
  self->quit(bye);
}

void supervisor_state::tick(supervisor_actor::pointer self) {
  const auto now = parts.options.time->mono();
  if (now - last_metrics > seconds{1}) {
    last_metrics = now;
    self->send(parts.options.outbox, event{"metrics", parts.counters->json()});
  }
  if (!stopping)
    return;
  if (now >= stop_at)
    return end_all(self);
  self->request(members->ledger, request_timeout, count_atom_v)
      .then([this, self](std::uint64_t open) {
        if (open == 0 && stopping)
          end_all(self);
      });
}

caf::result<health> supervisor_state::check(supervisor_actor::pointer self) {
  // Each answer says that this actor's mailbox moves; a worker's that its last step ended.
  struct checking {
    health out;
    std::size_t waiting = 0;
    caf::typed_response_promise<health> promise;
    bool answered = false;
  };
  auto all = std::make_shared<checking>();
  all->promise = self->make_response_promise<health>();
  all->out.alive = !failed;
  all->out.draining = draining;
  const auto arrived = [this, all](bool fine) {
    all->out.alive = all->out.alive && fine;
    if (--all->waiting > 0 || all->answered)
      return;
    all->answered = true;
    const auto& profile = parts.options.settings->current()->profile;
    all->out.line = fmt::format("{}; {} jobs open; profile {}", draining ? "draining" : "ready",
                                all->out.open_jobs, profile.name);
    all->promise.deliver(all->out);
  };
  const auto ask = [&](const auto& actor) {
    ++all->waiting;
    self->request(actor, std::chrono::seconds{10}, stats_atom_v)
        .then([arrived](const std::string&) { arrived(true); },
              [arrived](const caf::error&) { arrived(false); });
  };
  for (const auto& worker : members->workers)
    if (worker)
      ask(worker);
  ask(members->batcher);
  ask(members->cache);
  ++all->waiting;
  self->request(members->ledger, std::chrono::seconds{10}, count_atom_v)
      .then(
          [arrived, all](std::uint64_t open) {
            all->out.open_jobs = open;
            arrived(true);
          },
          [arrived](const caf::error&) { arrived(false); });
  return all->promise;
}

supervisor_actor::behavior_type
supervisor(supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_parts parts) {
  auto& state = self->state;
  state.parts = std::move(parts);
  state.started = state.parts.options.time->mono();
  self->set_down_handler([self](const caf::down_msg& what) { self->state.down(self, what); });
  state.spawn_all(self);
  self->delayed_send(self, tick_interval, tick_atom_v);
  return {
      [self](admin_atom, const admin_request& what) { self->state.administer(self, what); },
      [self](loaded_atom, model_set& models, const std::string& error) {
        self->state.models_came(self, std::move(models), error);
      },
      [self](changed_atom) {
        auto& now = self->state;
        now.reload(self, now.parts.options.settings->reload());
      },
      [](ready_atom) { return true; },
      [self](health_atom) -> caf::result<health> { return self->state.check(self); },
      [self](stop_atom, std::uint32_t limit_s) { self->state.stop(self, limit_s); },
      [self](tick_atom) {
        self->state.tick(self);
        self->delayed_send(self, tick_interval, tick_atom_v);
      },
  };
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
  const auto shared = std::make_shared<const store::resources>();
  parts.jobs = open_jobs(*config, shared);
  parts.answers = open_answers(*config, shared);
  parts.models = load_models(config->models, parts.nodes, *parts.kernels,
                             std::make_shared<const std::vector<model_handle>>());
  parts.curves = curves_of(parts.models, parts, *config);
  auto handle = system.spawn<caf::detached>(supervisor, std::move(parts));
  caf::scoped_actor self{system};
  bool ready = false;
  self->request(handle, request_timeout, ready_atom_v)
      .receive([&](bool up) { ready = up; }, [](const caf::error&) {});
  if (!ready)
    throw std::runtime_error("the pipeline did not come up within 30 s");
  log::info("ready: {} workers, kernels {}, profile {}",
            config->hardware.nodes.empty() ? engine::discover_nodes().size()
                                           : config->hardware.nodes.size(),
            engine::find_kernels(config->hardware.isa)->name, config->profile.name);
  return handle;
}

} // namespace bitnetd::actors
