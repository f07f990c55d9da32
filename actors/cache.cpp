// SPDX-License-Identifier: MIT
#include "actors/cache.h"

#include "actors/cached_answers.h"
#include "actors/errors.h"
#include "actors/guard.h"
#include "actors/trace.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace bitnetd::actors {

namespace {

constexpr std::chrono::milliseconds cache_tick{250};
constexpr std::size_t max_fresh = 512;

using conf::cache_mode;

} // namespace

bool cache_state::off(const job& what, std::string& why) const {
  const auto& profile = what.how->config->profile;
  if (!profile.phases.cache || profile.cache.mode == cache_mode::off)
    why = "the cache is off in profile " + profile.name;
  else if (!answers)
    why = "the cache's store could not be opened";
  else if (what.what->cache.no_store && what.what->cache.no_cache)
    why = "no-store and no-cache were asked";
  return !why.empty();
}

void cache_state::bypass(cache_actor::pointer self, job what, mono_time began, std::string why) {
  counters->phase("cache", true);
  counters->cache_lookup("bypass", "none");
  what.cache.status = cache_status::bypass;
  what.cache.reason = why;
  what.trace.push_back(trace_line("cache", what, began, time->mono(), "bypassed: " + why));
  if (what.what->cache.only_if_cached)
    self->send(others->responder, failed_atom_v, what.id, not_cached(), std::move(what.trace));
  else
    self->send(others->batcher, compute_atom_v, std::move(what));
}

bool cache_state::usable(const job& what, const store::cache_entry& entry) const {
  const auto now_us = to_wall_us(time->wall());
  if (entry.expires_us <= now_us)
    return false;
  const auto& asked = what.what->cache;
  if (asked.max_age && now_us - entry.created_us > asked.max_age->count() * 1'000'000)
    return false;
  return what.words().kind == job_kind::embedding ||
         fits_length(entry.answer.finish_reason, entry.answer.completion_tokens,
                     what.how->max_new_tokens);
}

void cache_state::deliver(cache_actor::pointer self, job what, const store::cache_entry& entry,
                          cache_info how, mono_time began, std::string decision) {
  const auto now_us = to_wall_us(time->wall());
  how.age_s = std::max<std::int64_t>(0, (now_us - entry.created_us) / 1'000'000);
  how.ttl_s = (entry.expires_us - now_us) / 1'000'000;
  how.entry = entry.id;
  how.saved_ms = entry.cost_ms;
  what.cache = std::move(how);
  what.trace.push_back(trace_line("cache", what, began, time->mono(), std::move(decision)));
  ++hits;
  counters->cache_lookup("hit", what.cache.tier);
  self->send(others->keeper, touch_atom_v, entry.id);
  auto found = std::make_shared<const answer>(
      from_stored(entry.answer, what.words().kind == job_kind::embedding));
  self->send(others->responder, hit_atom_v, std::move(what), answer_ptr{std::move(found)});
}

bool cache_state::try_exact(cache_actor::pointer self, job& what, const cache_key& key,
                            mono_time began) {
  if (what.what->cache.no_cache ||
      (key.sampling == sampling_class::drawn && !what.what->cache.allow_sampled))
    return false;
  cache_info how;
  how.status = cache_status::hit;
  how.tier = "exact";
  const auto recent = std::ranges::find_if(fresh, [&](const entry_ptr& entry) {
    return entry->partition == key.partition && entry->key == key.key &&
           entry->canonical == key.canonical;
  });
  if (recent != fresh.end() && usable(what, **recent)) {
    deliver(self, std::move(what), **recent, how, began,
            fmt::format("exact hit, entry {}", (*recent)->id));
    return true;
  }
  const auto stored = answers->get_exact(key.partition, key.key, key.canonical);
  if (!stored || !usable(what, *stored))
    return false;
  const auto age = (to_wall_us(time->wall()) - stored->created_us) / 1'000'000;
  deliver(self, std::move(what), *stored, how, began,
          fmt::format("exact hit, entry {}, {} s old", stored->id, age));
  return true;
}

void cache_state::probe(cache_actor::pointer self, job what) {
  std::string why;
  if (!off(what, why)) {
    const auto began = time->mono();
    const auto key = cache_key_of(what);
    if (try_exact(self, what, key, began)) {
      ++lookups;
      counters->phase("cache", false);
      return;
    }
  }
  self->send(others->ledger, missed_atom_v, std::move(what));
}

void cache_state::lookup(cache_actor::pointer self, job what) {
  const auto began = time->mono();
  if (std::string why; off(what, why))
    return bypass(self, std::move(what), began, std::move(why));
  auto key = cache_key_of(what);
  ++lookups;
  counters->phase("cache", false);
  if (try_exact(self, what, key, began))
    return;
  if (wants_similarity(what, key))
    return ask_for_vector(self, std::move(what), std::move(key), began);
  miss(self, {std::move(what), std::move(key), began, {}, {}}, {},
       "no exact entry; the similarity tier was not asked");
}

void cache_state::miss(cache_actor::pointer self, waiting_lookup from, std::vector<float> vector,
                       std::string decision) {
  auto& [what, key, began, whose, rival] = from;
  what.cache.status = cache_status::miss;
  if (what.what->cache.only_if_cached) {
    counters->cache_lookup("not_cached", "none");
    what.trace.push_back(trace_line("cache", what, began, time->mono(), decision));
    self->send(others->responder, failed_atom_v, what.id, not_cached(), std::move(what.trace));
    return;
  }
  if (key.sampling == sampling_class::drawn && !what.what->cache.allow_sampled)
    return bypass(self, std::move(what), began, "sampled without a seed: every draw is its own");
  single_flight::flight_key flight{key.partition, key.key, key.canonical, what.how->max_new_tokens};
  const auto leader = flights.leader(flight);
  if (leader && !what.what->cache.no_cache) {
    counters->cache_lookup("coalesced", "inflight");
    what.cache.status = cache_status::coalesced;
    what.cache.tier = "inflight";
    what.trace.push_back(trace_line("cache", what, began, time->mono(),
                                    "the same is being computed by " + leader->text()));
    flights.follow(flight, std::move(what));
    return;
  }
  counters->cache_lookup("miss", "none");
  what.trace.push_back(trace_line("cache", what, began, time->mono(), std::move(decision)));
  if (!leader)
    flights.lead(std::move(flight), what.id);
  lead(self, std::move(what), std::move(key), std::move(vector), whose, std::move(rival));
}

void cache_state::lead(cache_actor::pointer self, job what, cache_key key,
                       std::vector<float> vector, const hash128& whose,
                       std::optional<similar_answer> rival) {
  const auto& asked = what.what->cache;
  const auto most = config->profile.cache.ttl;
  computing how;
  how.key = std::move(key);
  how.vector = std::move(vector);
  how.embedder = whose;
  how.prompt = what.how->cache_text;
  how.ttl = std::min(asked.ttl.value_or(most), most);
  how.no_store = asked.no_store;
  how.rival = std::move(rival);
  leaders.insert_or_assign(what.id, std::move(how));
  self->send(others->batcher, compute_atom_v, std::move(what));
}

void cache_state::settled(cache_actor::pointer self, const job_id& id, const answer_ptr& found,
                          bool keep) {
  auto how = leaders.extract(id);
  if (how.empty())
    return;
  if (!found) {
    if (auto next = flights.promote(id)) {
      log::info("job {} did not finish; {} computes in its place", id.text(), next->id.text());
      next->cache = {};
      next->cache.status = cache_status::miss;
      auto& before = how.mapped();
      lead(self, std::move(*next), std::move(before.key), std::move(before.vector), before.embedder,
           std::nullopt);
    }
    return;
  }
  auto& computed = how.mapped();
  for (auto& follower : flights.land(id)) {
    follower.cache.saved_ms = found->cost_ms;
    self->send(others->responder, hit_atom_v, std::move(follower), found);
  }
  if (computed.rival && found->failed_checks.empty())
    compare(computed, *found);
  if (keep && !computed.no_store)
    keep_answer(self, computed, *found);
}

void cache_state::keep_answer(cache_actor::pointer self, const computing& how,
                              const answer& found) {
  const auto id = answers->next_id();
  if (!id)
    return;
  auto entry = std::make_shared<store::cache_entry>();
  entry->id = *id;
  entry->partition = how.key.partition;
  entry->key = how.key.key;
  entry->canonical = how.key.canonical;
  entry->answer = to_stored(found);
  entry->created_us = to_wall_us(time->wall());
  entry->expires_us = entry->created_us + how.ttl.count() * 1'000'000;
  entry->cost_ms = static_cast<std::uint32_t>(found.cost_ms);
  entry->prompt = how.prompt;
  if (!how.vector.empty())
    if (auto vector = store::quantize(how.vector)) {
      similar.add(how.key.partition, how.embedder, entry->id, *vector);
      entry->vector = std::move(*vector);
      entry->embedder = how.embedder;
    }
  fresh.push_front(entry);
  if (fresh.size() > max_fresh)
    fresh.pop_back();
  self->send(others->keeper, insert_atom_v, entry_ptr{std::move(entry)});
}

void cache_state::cancel(cache_actor::pointer self, const job_id& id) {
  const auto looking =
      std::ranges::find_if(waiting, [&](const auto& item) { return item.second.what.id == id; });
  std::optional<job> held;
  if (looking != waiting.end()) {
    held = std::move(looking->second.what);
    waiting.erase(looking);
  } else {
    held = flights.leave(id);
  }
  if (held)
    self->send(others->responder, failed_atom_v, id, cancelled(), std::move(held->trace));
  else
    self->send(others->batcher, cancel_atom_v, id);
}

cache_actor::behavior_type cache(cache_actor::stateful_pointer<cache_state> self,
                                 std::shared_ptr<const clock> time,
                                 std::shared_ptr<metrics> counters,
                                 std::shared_ptr<store::answers_db> answers) {
  auto& state = self->state;
  state.time = std::move(time);
  state.counters = std::move(counters);
  state.answers = std::move(answers);
  if (state.answers)
    log::info("cache: {} entries, {} with a vector", state.answers->totals().entries,
              state.similar.load(*state.answers));
  log_exceptions(self);
  self->delayed_send(self, cache_tick, tick_atom_v);
  return {
      [self](probe_atom, job& what) { self->state.probe(self, std::move(what)); },
      [self](lookup_atom, job& what) { self->state.lookup(self, std::move(what)); },
      [self](const embedded& vector) { self->state.vector_came(self, vector); },
      [self](erased_atom, const std::vector<store::erased_entry>& gone) {
        auto& now = self->state;
        for (const auto& entry : gone) {
          now.similar.remove(entry.id);
          now.judges.forget(entry.id);
          std::erase_if(now.fresh, [&](const entry_ptr& held) { return held->id == entry.id; });
        }
      },
      [self](models_atom, const model_set& models) {
        const auto found =
            std::ranges::find_if(*models, [](const auto& model) { return model->embedding; });
        self->state.embedder = found == models->end() ? nullptr : *found;
      },
      [self](settled_atom, const job_id& id, const answer_ptr& found, bool keep) {
        self->state.settled(self, id, found, keep);
      },
      [self](cancel_atom, const job_id& id) { self->state.cancel(self, id); },
      [self](tick_atom) {
        self->state.give_up_waiting(self);
        self->delayed_send(self, cache_tick, tick_atom_v);
      },
      [self](stats_atom) -> std::string {
        const auto& now = self->state;
        nlohmann::json out{{"lookups", now.lookups},         {"hits", now.hits},
                           {"shadow_hits", now.shadow_hits}, {"in_flight", now.flights.size()},
                           {"vectors", now.similar.size()},  {"vector_bytes", now.similar.bytes()}};
        out["rules"] = nlohmann::json::parse(now.judges.stats());
        if (now.answers) {
          out["entries"] = now.answers->totals().entries;
          out["bytes"] = now.answers->totals().bytes;
        }
        return out.dump();
      },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; },
  };
}

} // namespace bitnetd::actors
