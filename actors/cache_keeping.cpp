// SPDX-License-Identifier: MIT
#include "actors/cache.h"
#include "actors/cached_answers.h"
#include "actors/same_answer.h"
#include "base/log.h"

#include <algorithm>
#include <utility>

// What is kept: answers that were computed, what was learned of similar ones, how often entries
// were hit.

namespace bitnetd::actors {

namespace {

constexpr std::size_t max_fresh = 512;
constexpr seconds learned_interval{5};
/// From here on new answers have to be worth it. The keeper evicts down to 0.9.
constexpr double nearly_full = 0.85;
/// Longer lives end up to a tenth earlier, each at another time: what was made together, by a batch
/// or after a flush, is not computed again together.
constexpr std::int64_t shortest_varied_us = 3'600'000'000;

std::int64_t varied(std::int64_t life_us, std::uint64_t entry) {
  if (life_us < shortest_varied_us)
    return life_us;
  // Fibonacci hashing: ids that follow each other are spread out evenly.
  const auto share = static_cast<double>(entry * 0x9E3779B97F4A7C15u >> 11) * 0x1p-53;
  return life_us - static_cast<std::int64_t>(static_cast<double>(life_us) * 0.1 * share);
}

} // namespace

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
    mail.send(self, others->responder, hit_atom_v, std::move(follower), found);
  }
  if (computed.rival && found->failed_checks.empty())
    compare(computed, *found);
  if (computed.renews != 0)
    if (const auto before = held(computed.renews))
      ++(same_answer(found->text, before->answer.text) == answer_match::same ? renewed_same
                                                                             : renewed_other);
  // What was asked before a flush may be what the flush was about.
  if (keep && !computed.no_store && computed.flushes == flushes)
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
  entry->owner = how.owner;
  entry->canonical = how.key.canonical;
  entry->answer = to_stored(found);
  entry->created_us = to_wall_us(time->wall());
  entry->expires_us = entry->created_us + varied(how.ttl.count() * 1'000'000, *id);
  entry->cost_ms = static_cast<std::uint32_t>(found.cost_ms);
  entry->prompt = how.prompt;
  entry->tags = how.scopes;
  if (!how.vector.empty())
    if (auto vector = store::quantize(how.vector)) {
      similar.add(how.key.partition, how.embedder, entry->id, *vector);
      entry->vector = std::move(*vector);
      entry->embedder = how.embedder;
    }
  fresh.push_front(entry);
  if (fresh.size() > max_fresh)
    fresh.pop_back();
  mail.send(self, others->keeper, insert_atom_v, entry_ptr{std::move(entry)});
}

bool cache_state::has_room_for(const job& what, const cache_key& key) {
  room.computes(what.how->predicted_ms);
  const auto full = nearly_full * static_cast<double>(config->cache.max_bytes);
  if (static_cast<double>(answers->totals().bytes) < full ||
      room.admits(key.partition, key.key, what.how->predicted_ms))
    return true;
  ++not_admitted;
  return false;
}

void cache_state::store_learned(cache_actor::pointer self) {
  if (!answers || !others || time->mono() - learned_at < learned_interval)
    return;
  learned_at = time->mono();
  if (auto rows = judges.changes(); !rows.empty())
    mail.send(self, others->keeper, learned_atom_v, std::move(rows));
}

/// Once a tick: the keeper would have to be woken for every hit else.
void cache_state::tell_touched(cache_actor::pointer self) {
  if (touched.empty())
    return;
  std::vector<store::cache_touch> touches;
  touches.reserve(touched.size());
  for (const auto& [entry, touch] : std::exchange(touched, {}))
    touches.push_back(touch);
  mail.send(self, others->keeper, touch_atom_v, std::move(touches));
}

} // namespace bitnetd::actors
