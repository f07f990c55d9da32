// SPDX-License-Identifier: MIT
#include "actors/run_order.h"

#include <algorithm>

namespace bitnetd::actors {

void run_order::configure(const conf::profile_config& profile,
                          const std::vector<conf::principal_config>& principals) {
  weights_.clear();
  for (const auto& principal : principals)
    weights_.emplace(principal.name, std::max(1u, principal.weight));
  first_token_ = profile.targets.first_token;
  for (std::uint8_t i = 0; i < store::n_job_classes; ++i) {
    const auto found = profile.classes.find(std::string{store::name(static_cast<job_class>(i))});
    if (found == profile.classes.end())
      continue;
    classes_[i].weight = std::max(1u, found->second.weight);
    classes_[i].max_wait = found->second.max_wait;
  }
}

run_order::order_key run_order::key_of(const waiting_job& job) const noexcept {
  const auto wanted = job.arrived + first_token_;
  return {job.deadline ? std::min(*job.deadline, wanted) : wanted, job.predicted_ms, job.id};
}

void run_order::push(waiting_job job) {
  auto& cls = class_of(job);
  if (cls.arrivals.empty())
    cls.virtual_time = std::max(cls.virtual_time, class_clock_);
  auto& principal = cls.principals[job.principal];
  if (principal.queue.empty())
    principal.virtual_time = std::max(principal.virtual_time, cls.principal_clock);
  const auto key = key_of(job);
  cls.arrivals.emplace(job.arrived, job.id);
  principal.queue.insert(key);
  if (job.deadline)
    deadlines_.emplace(*job.deadline, job.id);
  waiting_ms_ += job.predicted_ms;
  const auto id = job.id;
  jobs_.insert_or_assign(id, entry{std::move(job), key});
}

bool run_order::remove(const job_id& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    return false;
  const auto& [job, key] = found->second;
  auto& cls = class_of(job);
  cls.arrivals.erase({job.arrived, id});
  const auto principal = cls.principals.find(job.principal);
  principal->second.queue.erase(key);
  // A principal that waits for nothing and is not ahead of the clock has nothing to remember.
  if (principal->second.queue.empty() && principal->second.virtual_time <= cls.principal_clock)
    cls.principals.erase(principal);
  if (job.deadline)
    deadlines_.erase({*job.deadline, id});
  waiting_ms_ = jobs_.size() == 1 ? 0 : std::max(0.0, waiting_ms_ - job.predicted_ms);
  jobs_.erase(found);
  return true;
}

std::optional<run_order::choice> run_order::next(mono_time now) const {
  const time_key* overdue = nullptr;
  const class_state* chosen = nullptr;
  for (const auto& cls : classes_) {
    if (cls.arrivals.empty())
      continue;
    const auto& oldest = *cls.arrivals.begin();
    if (now - oldest.first > cls.max_wait && (!overdue || oldest < *overdue))
      overdue = &oldest;
    if (!chosen || cls.virtual_time < chosen->virtual_time)
      chosen = &cls;
  }
  if (overdue)
    return choice{overdue->second, "waited longer than its class allows"};
  if (!chosen)
    return std::nullopt;
  const principal_state* first = nullptr;
  for (const auto& [name, principal] : chosen->principals)
    if (!principal.queue.empty() && (!first || principal.virtual_time < first->virtual_time))
      first = &principal;
  const auto cls = static_cast<job_class>(chosen - classes_.data());
  return choice{std::get<job_id>(*first->queue.begin()),
                "class " + std::string{store::name(cls)} + " by weight, earliest due"};
}

void run_order::start(const job_id& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    return;
  const auto& job = found->second.job;
  auto& cls = class_of(job);
  class_clock_ = std::max(class_clock_, cls.virtual_time);
  cls.virtual_time += job.predicted_ms / cls.weight;
  auto& principal = cls.principals[job.principal];
  cls.principal_clock = std::max(cls.principal_clock, principal.virtual_time);
  const auto weight = weights_.find(job.principal);
  principal.virtual_time += job.predicted_ms / (weight == weights_.end() ? 1 : weight->second);
  remove(id);
}

std::vector<job_id> run_order::take_expired(mono_time now) {
  std::vector<job_id> out;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    out.push_back(deadlines_.begin()->second);
    remove(out.back());
  }
  return out;
}

std::array<std::size_t, store::n_job_classes> run_order::per_class() const noexcept {
  std::array<std::size_t, store::n_job_classes> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = classes_[i].arrivals.size();
  return out;
}

} // namespace bitnetd::actors
