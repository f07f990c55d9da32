// SPDX-License-Identifier: MIT
#include "actors/cache.h"
#include "actors/trace.h"

#include <memory>
#include <utility>

// An expired answer was served once more: it is computed anew behind that, by a job of the lowest
// class that nobody waits for.

namespace bitnetd::actors {

namespace {

/// The same question without anybody behind it.
job renewal_of(const job& what, store::job_id_source& ids, const clock& time) {
  auto asked = std::make_shared<request>(*what.what);
  asked->reply_to = {};
  asked->items = {what.words()};
  asked->is_batch = false;
  asked->counted = asked->wait_result = asked->durable = asked->trace = false;
  asked->cancel_on_disconnect = false;
  asked->mode = reply_mode::job;
  asked->key.clear();
  asked->body.clear();
  asked->meta.clear();
  asked->deadline.reset();
  asked->cache.no_cache = true;
  asked->arrived = time.mono();
  asked->arrived_wall = time.wall();
  auto how = std::make_shared<traits>(*what.how);
  how->cls = job_class::background;
  how->deadline.reset();

  job out;
  out.id = ids.next(time.wall());
  out.what = std::move(asked);
  out.how = std::move(how);
  out.recovered = true; // nobody is told of its end
  return out;
}

} // namespace

void cache_state::renew(cache_actor::pointer self, const job& what, const cache_key& key,
                        std::uint64_t entry) {
  single_flight::flight_key flight{key.partition, key.key, key.canonical, what.how->max_new_tokens};
  if (what.what->cache.no_store || flights.leader(flight))
    return;
  auto again = renewal_of(what, renewal_ids, *time);
  again.cache.status = cache_status::miss;
  flights.lead(std::move(flight), again.id);
  const auto before = answers->get(entry);
  std::vector<float> vector;
  hash128 whose;
  if (before && before->vector) {
    for (const auto value : before->vector->values)
      vector.push_back(before->vector->scale * static_cast<float>(value));
    whose = before->embedder;
  }
  const auto id = again.id;
  mail.send(self, others->responder, open_atom_v, again);
  lead(self, std::move(again), key, std::move(vector), whose, std::nullopt);
  leaders.at(id).renews = entry;
}

} // namespace bitnetd::actors
