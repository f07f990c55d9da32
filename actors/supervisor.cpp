// SPDX-License-Identifier: MIT
#include "actors/supervisor.h"

#include "actors/analyzer.h"
#include "actors/batcher.h"
#include "actors/cache.h"
#include "actors/cache_keeper.h"
#include "actors/guard.h"
#include "actors/ledger.h"
#include "actors/responder.h"
#include "actors/supervisor_state.h"
#include "actors/worker.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds supervisor_tick{250};
constexpr std::chrono::seconds health_patience{10};
constexpr std::size_t max_restarts = 5; // of workers, within
constexpr std::chrono::seconds restart_window{60};

} // namespace

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
  send_curves(self);
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
  self->send(members->ledger, connect_atom_v, members); // begins to run the backlog
  if (!parts.lost.empty())
    self->send(parts.options.door, lost_atom_v, parts.lost);
  self->send(parts.options.door, connect_atom_v, members); // lets clients in
}

void supervisor_state::down(supervisor_actor::pointer self, const caf::down_msg& what) {
  if (stopping)
    return;
  auto next = *members;
  const auto lost = std::ranges::find_if(
      next.workers, [&](const auto& w) { return w && w.address() == what.source; });
  if (lost == next.workers.end())
    // State that nobody else has is gone: start over. The journal has every durable job.
    return fail(self, fmt::format("an actor of the pipeline ended ({})",
                                  self->system().render(what.reason)));
  const auto index = static_cast<std::uint32_t>(lost - next.workers.begin());
  const auto now = parts.options.time->mono();
  std::erase_if(restarts, [&](mono_time t) { return now - t > restart_window; });
  restarts.push_back(now);
  parts.counters->worker_lost();
  self->send(parts.options.outbox,
             event{"alert", nlohmann::json{{"what", "worker"}, {"worker", index}}.dump()});
  if (restarts.size() > max_restarts)
    return fail(self, fmt::format("worker {} ended again, {} restarts in a minute", index,
                                  restarts.size()));
  *lost = spawn_worker(self, index);
  const auto fresh = *lost;
  members = std::make_shared<const peers>(std::move(next));
  self->send(fresh, configure_atom_v, parts.options.settings->current());
  connect(self); // the batcher knows the new handle before its first credit comes
  open_doors(self);
  self->send(fresh, models_atom_v, held_models());
}

// ------------------------------------------------------------------ drain, stop, health

/// The daemon cannot go on: everyone ends, and with the supervisor the process, with a failure.
/// Who runs it as a service has it started again.
void supervisor_state::fail(supervisor_actor::pointer self, const std::string& why) {
  if (std::exchange(failed, true))
    return;
  log::critical("{}: the daemon ends", why);
  end_all(self);
}

void supervisor_state::drain(supervisor_actor::pointer self, bool on) {
  if (stopping && !on)
    return; // too late
  draining = on;
  log::info("{}", on ? "draining: no new jobs are accepted" : "accepting jobs again");
  self->send(parts.options.door, drain_atom_v, on); // before anybody is told
  self->send(members->analyzer, drain_atom_v, on);
  park_at.reset();
  if (!on)
    self->send(members->ledger, drain_atom_v, false); // what was put back goes on
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
  if (std::erase_if(retiring, [](const auto& model) { return model.expired(); }) > 0)
    send_models(self); // the workers may let go of them, too
  if (park_at && now >= *park_at) {
    park_at.reset();
    log::info("the drain's limit has passed: jobs that run are put back");
    self->send(members->ledger, park_atom_v);
  }
  if (!stopping)
    return;
  if (now >= stop_at)
    return end_all(self);
  self->request(members->ledger, request_timeout, count_atom_v)
      .then(
          [this, self](std::uint64_t open) {
            if (open == 0 && stopping)
              end_all(self);
          },
          [](const caf::error&) {}); // the limit ends it
}

void supervisor_state::ask_everyone(supervisor_actor::pointer self, seconds patience,
                                    std::function<void(bool, std::uint64_t)> done) {
  // Each answer says that this actor's mailbox moves; a worker's that its last step ended.
  struct asking {
    std::size_t waiting = 0;
    bool all = true;
    std::uint64_t open_jobs = 0;
    std::function<void(bool, std::uint64_t)> done;
  };
  auto state = std::make_shared<asking>();
  state->done = std::move(done);
  const auto arrived = [state](bool fine) {
    state->all = state->all && fine;
    if (--state->waiting == 0)
      state->done(state->all, state->open_jobs);
  };
  const auto ask = [&](const auto& actor) {
    ++state->waiting;
    self->request(actor, patience, stats_atom_v)
        .then([arrived](const std::string&) { arrived(true); },
              [arrived](const caf::error&) { arrived(false); });
  };
  for (const auto& worker : members->workers)
    if (worker)
      ask(worker);
  ask(members->batcher);
  ask(members->cache);
  ++state->waiting;
  self->request(members->ledger, patience, count_atom_v)
      .then(
          [arrived, state](std::uint64_t open) {
            state->open_jobs = open;
            arrived(true);
          },
          [arrived](const caf::error&) { arrived(false); });
}

caf::result<bool> supervisor_state::ready(supervisor_actor::pointer self) {
  auto promise = self->make_response_promise<bool>();
  ask_everyone(self, request_timeout,
               [promise](bool all, std::uint64_t) mutable { promise.deliver(all); });
  return promise;
}

caf::result<health> supervisor_state::check(supervisor_actor::pointer self) {
  auto promise = self->make_response_promise<health>();
  ask_everyone(self, health_patience, [this, promise](bool all, std::uint64_t open) mutable {
    health out;
    out.alive = all && !failed;
    out.draining = draining;
    out.open_jobs = open;
    const auto* state = draining ? "draining" : parts.lost.empty() ? "ready" : "degraded";
    out.line = fmt::format("{}; {} jobs open; profile {}", state, open,
                           parts.options.settings->current()->profile.name);
    promise.deliver(std::move(out));
  });
  return promise;
}

supervisor_actor::behavior_type
supervisor(supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_parts parts) {
  auto& state = self->state;
  state.parts = std::move(parts);
  state.started = state.parts.options.time->mono();
  log_exceptions(self);
  self->set_down_handler([self](const caf::down_msg& what) { self->state.down(self, what); });
  state.spawn_all(self);
  self->delayed_send(self, supervisor_tick, tick_atom_v);
  return {
      [self](admin_atom, const admin_request& what) { self->state.administer(self, what); },
      [self](loaded_atom, const loaded_models_ptr& loaded) {
        self->state.models_came(self, *loaded);
      },
      [self](cost_atom, const hash128& model, const cost_curve_ptr& curve) {
        self->state.cost_came(self, model, curve);
      },
      [self](failed_atom, const std::string& why) { self->state.fail(self, why); },
      [self](changed_atom) {
        auto& now = self->state;
        now.reload(self, now.parts.options.settings->reload());
      },
      [self](ready_atom) -> caf::result<bool> { return self->state.ready(self); },
      [self](health_atom) -> caf::result<health> { return self->state.check(self); },
      [self](stop_atom, std::uint32_t limit_s) { self->state.stop(self, limit_s); },
      [self](tick_atom) {
        self->state.tick(self);
        self->delayed_send(self, supervisor_tick, tick_atom_v);
      },
  };
}

} // namespace bitnetd::actors
