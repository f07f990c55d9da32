// SPDX-License-Identifier: MIT
#include "actors/release_queue.h"

#include <iterator>
#include <limits>

namespace bitnetd::actors {

namespace {

constexpr auto no_deadline = std::numeric_limits<std::int64_t>::max(); // sorts last, as on disk

} // namespace

release_queue::order_key release_queue::key_of(const store::open_job& job) {
  return {job.cls, job.deadline_us > 0 ? job.deadline_us : no_deadline, job.principal, job.id};
}

store::open_job release_queue::job_of(const order_key& key) {
  store::open_job out;
  out.cls = std::get<0>(key);
  out.deadline_us = std::get<1>(key) == no_deadline ? 0 : std::get<1>(key);
  out.principal = std::get<2>(key);
  out.id = std::get<3>(key);
  return out;
}

void release_queue::push(const store::open_job& job) {
  if (!complete_ && (!edge_ || key_of(*edge_) < key_of(job)))
    return;
  window_.insert(key_of(job));
  if (window_.size() <= most_)
    return;
  // The last one goes back to the disk, and the edge before it.
  window_.erase(std::prev(window_.end()));
  edge_ = job_of(*std::prev(window_.end()));
  complete_ = false;
}

bool release_queue::remove(const store::open_job& job) { return window_.erase(key_of(job)) > 0; }

std::optional<store::job_id> release_queue::pop() {
  if (window_.empty())
    return std::nullopt;
  const auto id = std::get<store::job_id>(*window_.begin());
  window_.erase(window_.begin());
  return id;
}

void release_queue::fill(std::span<const store::open_job> page, bool last,
                         const std::function<bool(const store::open_job&)>& may_start) {
  for (const auto& job : page)
    if (may_start(job))
      window_.insert(key_of(job));
  if (!page.empty())
    edge_ = page.back();
  complete_ = last;
}

} // namespace bitnetd::actors
