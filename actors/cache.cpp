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
constexpr seconds volatile_life{300}; // of answers to questions that speak of now
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
  add_trace("cache", what, began, time->mono(), [&] { return "bypassed: " + why; });
  if (what.what->cache.only_if_cached)
    mail.send(self, others->responder, missed_atom_v, std::move(what));
  else
    mail.send(self, others->batcher, compute_atom_v, std::move(what));
}

bool cache_state::usable(const job& what, const store::cache_entry& entry, seconds stale) const {
  const auto now_us = to_wall_us(time->wall());
  const auto& asked = what.what->cache;
  const auto stale_us = stale.count() * 1'000'000;
  if (entry.expires_us + stale_us <= now_us || answers->is_invalidated(entry.id, entry.tags))
    return false;
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
  if (entry.expires_us != store::pinned_us)
    how.ttl_s = (entry.expires_us - now_us) / 1'000'000;
  if (entry.expires_us <= now_us)
    how.status = cache_status::stale;
  how.entry = entry.id;
  how.saved_ms = entry.cost_ms;
  what.cache = std::move(how);
  add_trace("cache", what, began, time->mono(), [&] { return decision; });
  ++hits;
  counters->cache_lookup(what.cache.status == cache_status::stale ? "stale" : "hit",
                         what.cache.tier);
  auto& touch = touched[entry.id];
  touch = {entry.id, touch.hits + 1, now_us};
  auto found = std::make_shared<const answer>(
      from_stored(entry.answer, what.words().kind == job_kind::embedding));
  mail.send(self, others->responder, hit_atom_v, std::move(what), answer_ptr{std::move(found)});
}

bool cache_state::try_exact(cache_actor::pointer self, job& what, const cache_key& key,
                            mono_time began) {
  const auto& asked = what.what->cache;
  if (asked.no_cache || (key.sampling == sampling_class::drawn && !asked.allow_sampled))
    return false;
  const auto recent = std::ranges::find_if(fresh, [&](const entry_ptr& entry) {
    return entry->partition == key.partition && entry->key == key.key &&
           entry->canonical == key.canonical;
  });
  const auto renewable = std::max(config->profile.cache.stale_while_revalidate,
                                  asked.stale_while_revalidate.value_or(seconds{0}));
  const auto stale = std::max(renewable, asked.max_stale.value_or(seconds{0}));
  std::optional<store::cache_entry> stored;
  const store::cache_entry* found = nullptr;
  entry_ptr kept; // the list may lose it
  if (recent != fresh.end() && usable(what, **recent, stale)) {
    kept = *recent;
    found = kept.get();
  } else {
    auto read = answers->get_exact(key.partition, key.key, key.canonical);
    if (!read || !usable(what, *read, stale))
      return false;
    stored = std::move(*read);
    found = &*stored;
  }
  const auto now_us = to_wall_us(time->wall());
  if (found->expires_us <= now_us && now_us - found->expires_us < renewable.count() * 1'000'000)
    renew(self, what, key, found->id);
  cache_info how;
  how.status = cache_status::hit;
  how.tier = "exact";
  deliver(self, std::move(what), *found, how, began,
          fmt::format("exact hit, entry {}, {} s old", found->id,
                      (now_us - found->created_us) / 1'000'000));
  return true;
}

void cache_state::probe(cache_actor::pointer self, job what) {
  std::string why;
  if (!off(what, why)) {
    const auto began = time->mono();
    const auto key = cache_key_of(what);
    if (try_exact(self, what, key, began)) {
      room.asked(key.partition, key.key);
      ++lookups;
      counters->phase("cache", false);
      return;
    }
  }
  if (!std::exchange(what.unlisted, false))
    return mail.send(self, others->ledger, missed_atom_v, std::move(what));
  std::vector<job> listed;
  listed.push_back(std::move(what));
  mail.send(self, others->ledger, admit_atom_v, std::move(listed));
}

void cache_state::lookup(cache_actor::pointer self, job what) {
  const auto began = time->mono();
  if (std::string why; off(what, why))
    return bypass(self, std::move(what), began, std::move(why));
  auto key = cache_key_of(what);
  room.asked(key.partition, key.key);
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
    add_trace("cache", what, began, time->mono(), [&] { return decision; });
    mail.send(self, others->responder, missed_atom_v, std::move(what));
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
    add_trace("cache", what, began, time->mono(),
              [&] { return "the same is being computed by " + leader->text(); });
    flights.follow(flight, std::move(what));
    return;
  }
  counters->cache_lookup("miss", "none");
  what.cache.no_room = !has_room_for(what, key);
  if (what.cache.no_room)
    decision += "; not kept: the cache is full, and this is asked for the first time";
  add_trace("cache", what, began, time->mono(), [&] { return decision; });
  if (!leader)
    flights.lead(std::move(flight), what.id);
  lead(self, std::move(what), std::move(key), std::move(vector), whose, std::move(rival));
}

void cache_state::lead(cache_actor::pointer self, job what, cache_key key,
                       std::vector<float> vector, const hash128& whose,
                       std::optional<similar_answer> rival) {
  const auto& asked = what.what->cache;
  auto most = config->profile.cache.ttl;
  if (wording_of(what.how->cache_text).is_volatile)
    most = std::min(most, volatile_life);
  computing how;
  how.key = std::move(key);
  how.vector = std::move(vector);
  how.embedder = whose;
  how.prompt = what.how->cache_text;
  how.ttl = std::min(asked.ttl.value_or(most), most);
  how.no_store = asked.no_store || what.cache.no_room;
  how.owner = hash_bytes(what.what->principal);
  how.scopes = scopes_of(what);
  how.flushes = flushes;
  how.rival = std::move(rival);
  leaders.insert_or_assign(what.id, std::move(how));
  mail.send(self, others->batcher, compute_atom_v, std::move(what));
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
    mail.send(self, others->responder, failed_atom_v, id, cancelled(), std::move(held->trace));
  else
    mail.send(self, others->batcher, cancel_atom_v, id);
}

cache_actor::behavior_type cache(cache_actor::stateful_pointer<cache_state> self,
                                 std::shared_ptr<const clock> time,
                                 std::shared_ptr<metrics> counters,
                                 std::shared_ptr<store::answers_db> answers) {
  auto& state = self->state;
  state.time = std::move(time);
  state.counters = std::move(counters);
  state.answers = std::move(answers);
  if (state.answers) {
    log::info("cache: {} entries, {} with a vector", state.answers->totals().entries,
              state.similar.load(*state.answers));
    (void)state.judges.restore(*state.answers);
  }
  log_exceptions(self);
  self->delayed_send(self, cache_tick, tick_atom_v);
  return in_groups<cache_actor>(
      self, self->state.mail,
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
      [self](admin_atom, const admin_request& asked) { self->state.order(self, asked); },
      [self](tick_atom) {
        self->state.give_up_waiting(self);
        self->state.tell_touched(self);
        self->state.store_learned(self);
        self->state.similar.settle();
        self->delayed_send(self, cache_tick, tick_atom_v);
      },
      [self](stats_atom) -> std::string {
        const auto& now = self->state;
        nlohmann::json out{{"lookups", now.lookups},
                           {"hits", now.hits},
                           {"shadow_hits", now.shadow_hits},
                           {"in_flight", now.flights.size()},
                           {"vectors", now.similar.size()},
                           {"vector_bytes", now.similar.bytes()},
                           {"segments", now.similar.segments()},
                           {"not_admitted", now.not_admitted},
                           {"renewed_same", now.renewed_same},
                           {"renewed_other", now.renewed_other}};
        out["rules"] = nlohmann::json::parse(now.judges.stats());
        if (now.answers) {
          out["entries"] = now.answers->totals().entries;
          out["bytes"] = now.answers->totals().bytes;
        }
        return out.dump();
      },
      [self](connect_atom, const peers_ptr& others) { self->state.others = others; },
      [self](configure_atom, const conf::config_ptr& config) { self->state.config = config; });
}

} // namespace bitnetd::actors
