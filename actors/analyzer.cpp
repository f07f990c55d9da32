// SPDX-License-Identifier: MIT
#include "actors/analyzer.h"

#include "actors/errors.h"
#include "actors/guard.h"
#include "actors/names.h"
#include "actors/replies.h"
#include "actors/trace.h"
#include "base/log.h"

#include <utility>

namespace bitnetd::actors {

namespace {

std::string decision_of(const traits& how, bool on) {
  if (!on)
    return fmt::format("analysis is off; {} tokens, class {}", how.tokens.size(),
                       store::name(how.cls));
  auto out =
      fmt::format("{} tokens, up to {} new, {:.3g} Gop, {} KiB KV, about {:.0f} ms, class {}; "
                  "{}: {}",
                  how.tokens.size(), how.max_new_tokens, how.operations / 1e9, how.kv_bytes / 1024,
                  how.predicted_ms, store::name(how.cls), to_string(how.plan), how.plan_reason);
  if (how.similarity > 0)
    out += fmt::format("; similarity {:.2f} to another item", how.similarity);
  return out;
}

/// Nothing of it is written, nobody else can ask for it, and no key stands for it: where the cache
/// has its answer, the ledger would list it for nothing.
bool may_pass_ledger(const request& what) {
  return what.mode == reply_mode::sync && !what.durable && what.key.empty() && !what.is_batch;
}

} // namespace

job analyzer_state::make_job(const request_ptr& what, std::uint32_t item,
                             const analysis_context& with, mono_time began,
                             std::variant<traits, failure>& result) {
  job out;
  out.id = ids.next(time->wall());
  out.what = what;
  out.item = item;
  out.index = item;
  const bool on = with.config->profile.phases.analysis;
  counters->phase("analysis", !on);
  if (auto* how = std::get_if<traits>(&result)) {
    out.eta_ms = load_ms + how->predicted_ms;
    add_trace("analysis", out, began, time->mono(), [&] { return decision_of(*how, on); });
    out.how = std::make_shared<const traits>(std::move(*how));
  } else {
    out.refused = std::get<failure>(std::move(result));
    add_trace("analysis", out, began, time->mono(),
              [&] { return "refused: " + out.refused->message; });
  }
  return out;
}

/// What one request makes go wrong ends that request only.
std::variant<std::vector<job>, failure> analyzer_state::make_jobs(const request_ptr& what) {
  try {
    return try_make_jobs(what);
  } catch (const std::exception& error) {
    log::error("a request of {} could not be analyzed: {}", what->principal, error.what());
    return internal(std::string{"the request could not be analyzed: "} + error.what());
  }
}

std::variant<std::vector<job>, failure> analyzer_state::try_make_jobs(const request_ptr& what) {
  const analysis_context with{models, config, &costs, load_ms, time->mono(), &memo};
  std::vector<std::variant<traits, failure>> results;
  std::vector<traits*> accepted;
  for (std::uint32_t item = 0; item < what->items.size(); ++item)
    results.push_back(analyze(*what, item, with));
  for (auto& result : results)
    if (auto* how = std::get_if<traits>(&result))
      accepted.push_back(how);
  // A batch fails as a whole only when nothing of it can run: one bad item is that item's matter.
  if (accepted.empty() && !results.empty())
    return std::get<failure>(results.front());
  if (what->is_batch && config->profile.phases.analysis)
    analyze_batch(accepted);

  std::vector<job> out;
  if (what->is_batch) {
    job parent;
    parent.id = what->part_of ? *what->part_of : ids.next(time->wall());
    parent.what = what;
    parent.is_parent = true;
    add_trace("analysis", parent, with.now, time->mono(), [&] {
      return fmt::format("batch of {} items, {} refused", results.size(),
                         results.size() - accepted.size());
    });
    out.push_back(std::move(parent));
  }
  for (std::uint32_t item = 0; item < results.size(); ++item) {
    auto made = make_job(what, item, with, with.now, results[item]);
    if (what->is_batch) {
      made.parent = out.front().id;
      out.front().eta_ms = std::max(out.front().eta_ms, made.eta_ms);
    }
    out.push_back(std::move(made));
  }
  return out;
}

void analyzer_state::refuse(analyzer_actor::pointer self, const request& what, failure why) {
  counters->refused(why.name);
  auto out = error_for(what, std::move(why));
  if (what.counted) {
    out.release_jobs = static_cast<std::uint32_t>(what.items.size());
    out.release_bytes = what.body.size();
  }
  mail.send(self, others->outbox, std::move(out));
}

void analyzer_state::submit(analyzer_actor::pointer self, const request_ptr& what) {
  if (draining)
    return refuse(self, *what, actors::draining());
  auto jobs = make_jobs(what);
  if (auto* why = std::get_if<failure>(&jobs))
    return refuse(self, *what, std::move(*why));
  auto& made = std::get<std::vector<job>>(jobs);
  if (!may_pass_ledger(*what))
    return mail.send(self, others->ledger, admit_atom_v, std::move(made));
  made.front().unlisted = true;
  mail.send(self, others->cache, probe_atom_v, std::move(made.front()));
}

void analyzer_state::recover(analyzer_actor::pointer self, const request_ptr& what,
                             const job_id& id, std::uint32_t attempt) {
  auto jobs = make_jobs(what);
  if (auto* why = std::get_if<failure>(&jobs)) {
    mail.send(self, others->ledger, lost_atom_v, id, std::move(*why));
    return;
  }
  auto& made = std::get<std::vector<job>>(jobs).front();
  made.id = id;
  made.attempt = attempt;
  made.recovered = true;
  mail.send(self, others->ledger, recovered_atom_v, std::move(made));
}

void analyzer_state::answer(analyzer_actor::pointer self, const token_query& what) {
  auto said = tokens_of(what, models);
  auto* why = std::get_if<failure>(&said);
  auto out = why != nullptr ? error_for(what, std::move(*why))
                            : document_for(what, "tokens", std::get<std::string>(std::move(said)));
  out.release_jobs = 1;
  out.release_bytes = what.bytes;
  mail.send(self, others->outbox, std::move(out));
}

analyzer_actor::behavior_type analyzer(analyzer_actor::stateful_pointer<analyzer_state> self,
                                       std::shared_ptr<const clock> time,
                                       std::shared_ptr<metrics> counters,
                                       store::job_id_source ids) {
  self->state.time = std::move(time);
  self->state.counters = std::move(counters);
  self->state.ids = ids;
  log_exceptions(self);
  return in_groups<analyzer_actor>(
      self, self->state.mail,
      [self](submit_atom, const request_ptr& what) { self->state.submit(self, what); },
      [self](cancel_atom, const query& what) {
        self->state.mail.send(self, self->state.others->ledger, cancel_atom_v, what);
      },
      [self](const token_query& what) { self->state.answer(self, what); },
      [self](recover_atom, const request_ptr& what, const job_id& id, std::uint32_t attempt) {
        self->state.recover(self, what, id, attempt);
      },
      [self](models_atom, const model_set& models) { self->state.models = models; },
      [self](cost_atom, const hash128& model, const cost_curve_ptr& curve) {
        self->state.costs.insert_or_assign(model, cost_model{*curve});
      },
      [self](load_atom, double ms) { self->state.load_ms = ms; },
      [self](drain_atom, bool on) { self->state.draining = on; },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; });
}

} // namespace bitnetd::actors
