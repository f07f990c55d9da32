// SPDX-License-Identifier: MIT
#include "actors/errors.h"
#include "actors/model_registry.h"
#include "actors/replies.h"
#include "actors/supervisor_state.h"
#include "conf/schema.h"
#include "engine/kernels/kernel_table.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

// Administrators' questions and orders.

namespace bitnetd::actors {

namespace {

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

void supervisor_state::tell(supervisor_actor::pointer self, const admin_request& who,
                            std::string type, std::string body) {
  self->send(parts.options.outbox, document_for(who, std::move(type), std::move(body)));
}

void supervisor_state::tell_error(supervisor_actor::pointer self, const admin_request& who,
                                  failure why) {
  self->send(parts.options.outbox, error_for(who, std::move(why)));
}

void supervisor_state::tell_report(supervisor_actor::pointer self, const admin_request& who,
                                   const conf::reload_report& report, nlohmann::json extra) {
  if (!report.problems.empty()) {
    std::string all;
    for (const auto& problem : report.problems)
      all += (all.empty() ? "" : "\n") + problem.text();
    return tell_error(self, who, {106, "E_CONFIG", std::move(all), {}, {}, {}});
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
    tell_profile(self, what);
  } else if (what.type == "drain" || what.type == "undrain") {
    drain(self, what.type == "drain");
    if (draining && what.timeout)
      park_at = parts.options.time->mono() + *what.timeout;
    tell_drained(self, what);
  } else if (what.type == "models") {
    tell(self, what, "models", describe_models(parts.models));
  } else if (what.type == "metrics") {
    tell(self, what, "metrics", nlohmann::json{{"text", parts.counters->render()}}.dump());
  } else if (what.type == "stats") {
    gather_stats(self, what);
  }
}

void supervisor_state::tell_profile(supervisor_actor::pointer self, const admin_request& what) {
  auto& settings = *parts.options.settings;
  conf::reload_report report;
  if (!what.name.empty()) {
    report = settings.use_profile(what.name);
    reload(self, report);
  }
  const auto now = settings.current();
  report.version = now->version;
  tell_report(self, what, report,
              {{"active", now->profile.name}, {"available", profiles_beside(now->file)}});
}

void supervisor_state::tell_drained(supervisor_actor::pointer self, const admin_request& what) {
  self->request(members->ledger, request_timeout, count_atom_v)
      .then(
          [this, self, what](std::uint64_t open) {
            tell(self, what, "ok",
                 nlohmann::json{{"state", draining ? "draining" : "ready"}, {"open_jobs", open}}
                     .dump());
          },
          [this, self, what](const caf::error&) {
            tell_error(self, what, internal("the journal does not answer"));
          });
}

void supervisor_state::gather_stats(supervisor_actor::pointer self, const admin_request& what) {
  struct gathering {
    nlohmann::json out;
    std::size_t waiting = 0;
  };
  const auto config = parts.options.settings->current();
  const auto up = parts.options.time->mono() - started;
  auto all = std::make_shared<gathering>();
  all->out = {{"state", draining             ? "draining"
                        : parts.lost.empty() ? "ready"
                                             : "degraded"},
              {"uptime_s", std::chrono::duration_cast<seconds>(up).count()},
              {"profile", config->profile.name},
              {"config_version", config->version},
              {"isa", parts.kernels->name},
              {"metrics", nlohmann::json::parse(parts.counters->json())},
              {"workers", nlohmann::json::array()}};
  if (!parts.lost.empty())
    all->out["lost"] = parts.lost;
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

} // namespace bitnetd::actors
