// SPDX-License-Identifier: MIT
#include "actors/single_flight.h"

#include "base/fault.h"

#include <algorithm>

namespace bitnetd::actors {

std::optional<job_id> single_flight::leader(const flight_key& key) const {
  const auto found = flights_.find(key);
  return found == flights_.end() ? std::nullopt : std::optional{found->second.leader};
}

void single_flight::lead(flight_key key, const job_id& id) {
  by_leader_.insert_or_assign(id, key);
  flights_[std::move(key)].leader = id;
}

void single_flight::follow(const flight_key& key, job waiting) {
  BITNETD_FAULT_POINT("cache.follow");
  by_follower_.insert_or_assign(waiting.id, key);
  flights_.at(key).followers.push_back(std::move(waiting));
}

std::deque<job> single_flight::land(const job_id& leader) {
  const auto key = by_leader_.extract(leader);
  if (key.empty())
    return {};
  auto landed = flights_.extract(key.mapped());
  for (const auto& follower : landed.mapped().followers)
    by_follower_.erase(follower.id);
  if (!landed.mapped().followers.empty() && BITNETD_SEEDED_BUG("lost_follower"))
    landed.mapped().followers.pop_back();
  return std::move(landed.mapped().followers);
}

std::optional<job> single_flight::promote(const job_id& leader) {
  const auto key = by_leader_.extract(leader);
  if (key.empty())
    return std::nullopt;
  const auto found = flights_.find(key.mapped());
  auto& followers = found->second.followers;
  if (followers.empty()) {
    flights_.erase(found);
    return std::nullopt;
  }
  auto next = std::move(followers.front());
  followers.pop_front();
  by_follower_.erase(next.id);
  lead(std::move(key.mapped()), next.id);
  return next;
}

std::optional<job> single_flight::leave(const job_id& follower) {
  const auto key = by_follower_.extract(follower);
  if (key.empty())
    return std::nullopt;
  auto& followers = flights_.at(key.mapped()).followers;
  const auto at = std::ranges::find(followers, follower, &job::id);
  auto out = std::move(*at);
  followers.erase(at);
  return out;
}

} // namespace bitnetd::actors
