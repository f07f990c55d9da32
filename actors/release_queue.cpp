// SPDX-License-Identifier: MIT
#include "actors/release_queue.h"

#include <limits>

namespace bitnetd::actors {

release_queue::order_key release_queue::key_of(const entry& job) noexcept {
  const auto due = job.deadline_us > 0 ? job.deadline_us : std::numeric_limits<std::int64_t>::max();
  return {job.cls, due, job.id};
}

void release_queue::push(const entry& job, std::int64_t now_us) {
  jobs_.insert_or_assign(job.id, job);
  if (job.not_before_us > now_us)
    sleeping_.emplace(job.not_before_us, job.id);
  else
    ready_.insert(key_of(job));
  if (job.deadline_us > 0)
    deadlines_.emplace(job.deadline_us, job.id);
}

bool release_queue::remove(const store::job_id& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    return false;
  const auto& job = found->second;
  ready_.erase(key_of(job));
  sleeping_.erase({job.not_before_us, id});
  deadlines_.erase({job.deadline_us, id});
  jobs_.erase(found);
  return true;
}

std::optional<store::job_id> release_queue::pop() {
  if (ready_.empty())
    return std::nullopt;
  const auto id = std::get<store::job_id>(*ready_.begin());
  remove(id);
  return id;
}

std::vector<store::job_id> release_queue::wake(std::int64_t now_us) {
  std::vector<store::job_id> out;
  while (!sleeping_.empty() && sleeping_.begin()->first <= now_us) {
    const auto id = sleeping_.begin()->second;
    sleeping_.erase(sleeping_.begin());
    ready_.insert(key_of(jobs_.at(id)));
    out.push_back(id);
  }
  return out;
}

std::vector<store::job_id> release_queue::take_expired(std::int64_t now_us) {
  std::vector<store::job_id> out;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_us) {
    out.push_back(deadlines_.begin()->second);
    remove(out.back());
  }
  return out;
}

} // namespace bitnetd::actors
