// SPDX-License-Identifier: MIT
#include "daemon/peers_table.h"

#include <algorithm>

namespace bitnetd::daemon {

namespace {

// What a kept reply costs beside its text.
constexpr std::size_t overhead = sizeof(outbound) + 64;

std::size_t cost(const outbound& reply) { return reply.body.size() + overhead; }

} // namespace

void peers_table::opened(const peer_key& key, const std::string& tag, open_request request) {
  peers_[key].open.insert_or_assign(tag, std::move(request));
}

void peers_table::answered(const outbound& reply) {
  if (reply.is_partial())
    return;
  const peer_key key{reply.to.socket, reply.to.peer};
  const auto found = peers_.find(key);
  if (found == peers_.end())
    return;
  const auto request = found->second.open.find(reply.to.tag);
  if (request == found->second.open.end())
    return;
  if (reply.type == "accepted" && !request->second.ends_with_accept) {
    request->second.job = reply.job;
    return;
  }
  found->second.open.erase(request);
  forget_if_idle(key);
}

void peers_table::detached(const peer_key& key, const actors::job_id& job) {
  const auto found = peers_.find(key);
  if (found == peers_.end())
    return;
  std::erase_if(found->second.open, [&](const auto& item) { return item.second.reads == job; });
  forget_if_idle(key);
}

bool peers_table::has_pending(const peer_key& key) const {
  const auto found = peers_.find(key);
  return found != peers_.end() && !found->second.pending.empty();
}

bool peers_table::keep(const peer_key& key, outbound reply) {
  auto& mine = peers_[key];
  const auto size = cost(reply);
  const bool over_mine = mine.bytes > 0 && mine.bytes + size > most_.per_peer_bytes;
  const bool over_all = all_bytes_ > 0 && all_bytes_ + size > most_.all_bytes;
  if (over_mine || over_all)
    return false;
  slow_.insert(key);
  mine.bytes += size;
  all_bytes_ += size;
  mine.pending.push_back(std::move(reply));
  return true;
}

void peers_table::retry(const std::function<bool(const outbound&)>& send) {
  for (auto at = slow_.begin(); at != slow_.end();) {
    auto& mine = peers_[*at];
    while (!mine.pending.empty() && send(mine.pending.front())) {
      const auto size = cost(mine.pending.front());
      mine.bytes -= size;
      all_bytes_ -= size;
      mine.pending.pop_front();
    }
    if (!mine.pending.empty()) {
      ++at;
      continue;
    }
    forget_if_idle(*at);
    at = slow_.erase(at);
  }
}

orphans peers_table::drop(const peer_key& key) {
  orphans out;
  const auto found = peers_.find(key);
  if (found == peers_.end())
    return out;
  for (const auto& [tag, request] : found->second.open) {
    if (request.cancel_if_gone && request.job)
      out.cancelled.emplace_back(request.principal, *request.job);
    if (request.reads)
      out.detached.push_back(*request.reads);
  }
  all_bytes_ -= found->second.bytes;
  slow_.erase(key);
  peers_.erase(found);
  return out;
}

std::vector<peer_key>
peers_table::without_right(const std::function<bool(const std::string& key)>& is_good) const {
  std::vector<peer_key> out;
  for (const auto& [key, mine] : peers_)
    if (std::ranges::any_of(mine.open, [&](const auto& entry) {
          return !entry.second.key.empty() && !is_good(entry.second.key);
        }))
      out.push_back(key);
  return out;
}

std::vector<std::pair<peer_key, bool>> peers_table::waiting() const {
  std::vector<std::pair<peer_key, bool>> out;
  for (const auto& [key, mine] : peers_)
    if (!mine.open.empty())
      out.emplace_back(key, std::ranges::any_of(
                                mine.open, [](const auto& entry) { return entry.second.durable; }));
  return out;
}

void peers_table::forget_if_idle(const peer_key& key) {
  const auto found = peers_.find(key);
  if (found != peers_.end() && found->second.open.empty() && found->second.pending.empty())
    peers_.erase(found);
}

} // namespace bitnetd::daemon
